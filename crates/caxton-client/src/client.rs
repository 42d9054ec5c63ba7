//! The connection to a node: addresses, tokens, requests, answers.

use std::{path::Path, sync::Arc, time::Duration};

use caxton_api::{ADDRESS_FILE, API_PREFIX, Page, Problem};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ClientError,
    credentials::{self, Found},
    socket::Socket,
};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an ordinary request may take: longer than the node itself allows, so that its answer
/// is what the caller sees.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// A node, called over HTTP. Clones share their connections.
#[derive(Debug, Clone)]
pub struct CaxtonClient {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    traceparent: Option<String>,
    socket: Option<Arc<Socket>>,
}

impl CaxtonClient {
    /// A client of the node at this address.
    ///
    /// The token is `CAXTON_TOKEN` from the environment. Without one, and if the address is that of
    /// the node with the default data directory, it is a client as of [`Self::local`]. Nothing is
    /// sent yet.
    ///
    /// Errors: [`ClientError::Address`], [`ClientError::Setup`], and as of [`Self::local`].
    pub async fn new(url: &str) -> Result<Self, ClientError> {
        let mut client = Self::without_token(url)?;
        match credentials::find(&client.base).await? {
            Found::Token(token) => client.token = Some(token),
            Found::Local(directory) => return Self::local(&directory, None),
            Found::Nothing => {}
        }
        Ok(client)
    }

    /// A client of the node that uses this data directory on this machine, over the socket in the
    /// directory, with this token or the operator's.
    ///
    /// A token is sent to the owner of the directory alone, also if the node was killed and another
    /// program has taken its address.
    ///
    /// Errors: [`ClientError::NotRunning`], [`ClientError::Directory`], [`ClientError::TokenFile`],
    /// [`ClientError::Setup`].
    pub fn local(directory: &Path, token: Option<String>) -> Result<Self, ClientError> {
        let socket = Socket::of(directory)?;
        let token = match token {
            Some(token) => Some(token),
            None => credentials::admin_token(directory)?,
        };
        // The address is for people: the socket leads there whatever it says.
        let address = std::fs::read_to_string(directory.join(ADDRESS_FILE));
        let mut client = match address.as_deref().map(str::trim) {
            Ok(address) if address.starts_with("http:") => Self::without_token(address)?,
            _ => Self::without_token("http://localhost")?,
        };
        client.socket = Some(Arc::new(socket));
        client.http = client.builder().build().map_err(ClientError::Setup)?;
        client.token = token;
        Ok(client)
    }

    /// A client that uses this token.
    ///
    /// Errors: [`ClientError::Address`], [`ClientError::Setup`].
    pub fn with_token(url: &str, token: impl Into<String>) -> Result<Self, ClientError> {
        let mut client = Self::without_token(url)?;
        client.token = Some(token.into());
        Ok(client)
    }

    /// A client that trusts this certificate authority, given in PEM, beside the usual ones.
    ///
    /// Errors: [`ClientError::Setup`].
    pub fn trusting(mut self, authority_pem: &[u8]) -> Result<Self, ClientError> {
        let authority =
            reqwest::Certificate::from_pem(authority_pem).map_err(ClientError::Setup)?;
        self.http = self
            .builder()
            .tls_certs_merge([authority])
            .build()
            .map_err(ClientError::Setup)?;
        Ok(self)
    }

    /// The same client within a W3C trace: this `traceparent` goes with every request.
    #[must_use]
    pub fn traced(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// The node's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    fn without_token(url: &str) -> Result<Self, ClientError> {
        let wrong = |reason: String| ClientError::Address {
            url: url.to_owned(),
            reason,
        };
        let base: Url = url.parse().map_err(|error| wrong(format!("{error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("it needs http:// or https:// and a host".to_owned()));
        }
        Ok(Self {
            http: builder().build().map_err(ClientError::Setup)?,
            base,
            token: None,
            traceparent: None,
            socket: None,
        })
    }

    fn builder(&self) -> reqwest::ClientBuilder {
        match &self.socket {
            Some(socket) => builder().unix_socket(socket.path.clone()),
            None => builder(),
        }
    }

    /// An address under the node's: `segments` are percent-encoded, absent query values left out.
    pub(crate) fn address(&self, segments: &[&str], query: &[(&str, Option<&str>)]) -> Url {
        let mut url = self.base.clone();
        let mut path = url.path().trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            push_encoded(&mut path, segment);
        }
        url.set_path(&path);
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    /// The same under the versioned part of the API.
    pub(crate) fn api(&self, segments: &[&str], query: &[(&str, Option<&str>)]) -> Url {
        let prefix = API_PREFIX.trim_start_matches('/').split('/');
        let all: Vec<&str> = prefix.chain(segments.iter().copied()).collect();
        self.address(&all, query)
    }

    /// A request that carries token and trace.
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        request
    }

    /// Sends a request and takes any good answer.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        timeout: Option<Duration>,
    ) -> Result<Response, ClientError> {
        let request = match timeout {
            Some(timeout) => request.timeout(timeout),
            None => request,
        };
        let request = request.build().map_err(ClientError::Setup)?;
        let url = request.url().to_string();
        let answer = self.http.execute(request).await;
        let answer = answer.map_err(|source| ClientError::Unreachable {
            url: url.clone(),
            source: source.without_url(),
        })?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(refusal(url, answer).await)
        }
    }

    /// Sends a request and reads JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        self.json_within(request, REQUEST_TIMEOUT).await
    }

    /// The same with a time-out of its own.
    pub(crate) async fn json_within<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let answer = self.send(request, Some(timeout)).await?;
        let url = answer.url().to_string();
        let bytes = body(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Unreadable {
            url,
            reason: error.to_string(),
        })
    }

    /// Sends a request whose answer has nothing in it.
    pub(crate) async fn done(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.send(request, Some(REQUEST_TIMEOUT)).await.map(drop)
    }

    /// Reads bytes.
    pub(crate) async fn bytes(&self, url: Url) -> Result<Vec<u8>, ClientError> {
        let request = self.request(Method::GET, url);
        let answer = self.send(request, Some(REQUEST_TIMEOUT)).await?;
        Ok(body(answer).await?.to_vec())
    }

    /// Reads text.
    pub(crate) async fn text(&self, url: Url) -> Result<String, ClientError> {
        let bytes = self.bytes(url).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads all pages of a list.
    pub(crate) async fn pages<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, Option<&str>)],
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("cursor", cursor.as_deref()));
            let url = self.api(segments, &query);
            let page: Page<T> = self.json(self.request(Method::GET, url)).await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// Posts a value as JSON.
    pub(crate) fn post<T: Serialize>(&self, url: Url, value: &T) -> RequestBuilder {
        self.request(Method::POST, url).json(value)
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("caxton-client/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
}

/// Percent-encodes all but letters, digits and `-._~`: the URL type itself drops line breaks.
fn push_encoded(path: &mut String, segment: &str) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
}

async fn body(answer: Response) -> Result<bytes::Bytes, ClientError> {
    let url = answer.url().to_string();
    answer
        .bytes()
        .await
        .map_err(|source| ClientError::Unreachable {
            url,
            source: source.without_url(),
        })
}

async fn refusal(url: String, answer: Response) -> ClientError {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    let bytes = match body(answer).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(mut problem) => {
            problem.retry_after_secs = problem.retry_after_secs.or(retry_after);
            ClientError::Refused(Box::new(problem))
        }
        Err(_) => ClientError::Unreadable {
            url,
            reason: not_a_node(status, &bytes),
        },
    }
}

fn not_a_node(status: StatusCode, bytes: &[u8]) -> String {
    let head: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    format!("status {status} without a problem document: {head}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded() {
        let client = CaxtonClient::with_token("http://127.0.0.1:8080/", "t").unwrap();
        let url = client.api(
            &["agents", "acme/worker"],
            &[("name", Some("a b")), ("x", None)],
        );
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8080/api/v1/agents/acme%2Fworker?name=a+b"
        );
        let url = client.api(&["conversations", "a\n\tb%/é"], &[]);
        assert_eq!(url.path(), "/api/v1/conversations/a%0A%09b%25%2F%C3%A9");
        let behind = CaxtonClient::with_token("https://proxy.example/caxton", "t").unwrap();
        let url = behind.address(&["version"], &[]);
        assert_eq!(url.as_str(), "https://proxy.example/caxton/version");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "localhost:8080", "ftp://x", "http://"] {
            let error = CaxtonClient::with_token(bad, "t").unwrap_err();
            assert!(matches!(error, ClientError::Address { .. }), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_absent_node_is_said_to_be_absent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = CaxtonClient::with_token(&url, "t").unwrap();
        let error = client.version().await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("is the node running"), "{error}");
    }
}
