//! The node itself: health, version, journal, metrics, tokens, the vault.

use caxton_api::{
    JournalView, KeyRotated, Live, NewSecret, NewToken, Page, Ready, SecretEntry, TokenCreated,
    TokenEntry, TopSort, TopView, VersionView,
};
use reqwest::Method;
use serde_json::Value;

use crate::{CaxtonClient, ClientError};

impl CaxtonClient {
    /// Whether the process answers.
    pub async fn health_live(&self) -> Result<Live, ClientError> {
        let url = self.address(&["health", "live"], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// Whether the node takes requests; a node that does not answers with the reason.
    pub async fn health_ready(&self) -> Result<Ready, ClientError> {
        let url = self.address(&["health", "ready"], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// What runs.
    pub async fn version(&self) -> Result<VersionView, ClientError> {
        let url = self.address(&["version"], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// Metrics in the text form of Prometheus.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.text(self.address(&["metrics"], &[])).await
    }

    /// How the journal is.
    pub async fn journal(&self) -> Result<JournalView, ClientError> {
        let url = self.api(&["journal"], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// How the node is loaded, with so many of its busiest agents.
    pub async fn top(&self, sort: TopSort, limit: usize) -> Result<TopView, ClientError> {
        let limit = limit.to_string();
        let query = [("sort", Some(sort.as_str())), ("limit", Some(&*limit))];
        let url = self.api(&["top"], &query);
        self.json(self.request(Method::GET, url)).await
    }

    /// The API's own document.
    pub async fn openapi(&self) -> Result<Value, ClientError> {
        let url = self.api(&["openapi.json"], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// The page of an error code, in Markdown.
    pub async fn error_page(&self, code: &str) -> Result<String, ClientError> {
        self.text(self.api(&["errors", code], &[])).await
    }

    /// Makes a token. Its secret is shown this once.
    pub async fn create_token(&self, token: &NewToken) -> Result<TokenCreated, ClientError> {
        let url = self.api(&["tokens"], &[]);
        self.json(self.post(url, token)).await
    }

    /// Tokens, without secrets.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, ClientError> {
        let url = self.api(&["tokens"], &[]);
        let page: Page<TokenEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Sets a secret of the vault, in place of one of that name.
    pub async fn set_secret(&self, secret: &NewSecret) -> Result<(), ClientError> {
        let url = self.api(&["vault"], &[]);
        self.done(self.post(url, secret)).await
    }

    /// The secrets of the vault, without their values.
    pub async fn secrets(&self) -> Result<Vec<SecretEntry>, ClientError> {
        let url = self.api(&["vault"], &[]);
        let page: Page<SecretEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Removes a secret of the vault.
    pub async fn remove_secret(&self, name: &str) -> Result<(), ClientError> {
        let url = self.api(&["vault", name], &[]);
        self.done(self.request(Method::DELETE, url)).await
    }

    /// Seals the vault with a new key.
    pub async fn rotate_vault_key(&self) -> Result<KeyRotated, ClientError> {
        let url = self.api(&["vault-key", "rotate"], &[]);
        self.json(self.request(Method::POST, url)).await
    }

    /// Takes a token away.
    pub async fn delete_token(&self, id: &str) -> Result<(), ClientError> {
        let url = self.api(&["tokens", id], &[]);
        self.done(self.request(Method::DELETE, url)).await
    }
}
