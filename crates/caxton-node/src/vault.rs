//! The vault of a node: what operators do with secrets, and what guests' requests read.

use std::sync::Arc;

use bytes::Bytes;
use caxton_egress::Secrets;
use caxton_gate::{Allowed, SecretUse};
use caxton_kernel::Refusal;
use caxton_model::{AgentName, Namespace};
use caxton_store::{Vault, VaultEntry, VaultError, VaultOptions};
use zeroize::Zeroizing;

use crate::{
    Node, NodeOptions, clock,
    shared::{Shared, shutting_down},
};

/// Opens the vault of a node, and logs what its operator should know. Blocking.
pub(crate) fn open(options: &NodeOptions) -> Result<Vault, VaultError> {
    let mut notices = Vec::new();
    let place = VaultOptions {
        folder: options.data.as_ref().map(|data| data.join("vault")),
        key: options.vault_key.clone(),
    };
    let vault = Vault::open(place, &mut notices)?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    // A node that keeps no secrets needs no key.
    let is_wanted = options.vault_key.is_some() || !vault.list().is_empty();
    if let Some(reason) = vault.closed().filter(|_| is_wanted) {
        tracing::error!("{reason}");
    }
    Ok(vault)
}

/// The secrets of one namespace, for requests of its agents.
pub(crate) struct AgentSecrets {
    shared: Arc<Shared>,
    namespace: Namespace,
}

impl AgentSecrets {
    pub(crate) fn new(shared: &Arc<Shared>, namespace: &Namespace) -> Self {
        Self {
            shared: Arc::clone(shared),
            namespace: namespace.clone(),
        }
    }
    fn value(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let name = AgentName::new(&self.namespace, name).map_err(|error| error.to_string())?;
        let value = self.shared.vault.read(&name);
        value.map_err(|error| error.to_string())
    }
}

impl Secrets for AgentSecrets {
    fn read(&self, access: Allowed<SecretUse>) -> Result<Bytes, String> {
        self.value(access.access().name()).map(Bytes::from_owner)
    }
}

fn refusal(error: &VaultError) -> Refusal {
    Refusal::new(error.code(), error.to_string())
}

impl Node {
    async fn change_vault<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = Arc::clone(&self.shared);
        let changed = Arc::clone(&self.shared).blocking(move || change(&shared.vault));
        let changed = changed.await.ok_or_else(shutting_down)?;
        changed.map_err(|error| refusal(&error))
    }

    /// Sets a secret, in place of one of that name. Durable when this returns.
    ///
    /// Errors: `vault-closed`, `malformed-request` and `payload-too-large` for the value's size,
    /// `node-budget`, `disk-full`.
    pub async fn set_secret(
        &self,
        name: AgentName,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.shared.budget.refuses_bytes() {
            return Err(refusal);
        }
        let at = clock::wall();
        self.change_vault(move |vault| vault.set(&name, &value, at))
            .await
    }

    /// Removes a secret. It needs no key.
    ///
    /// Errors: `not-found`.
    pub async fn remove_secret(&self, name: AgentName) -> Result<(), Refusal> {
        self.change_vault(move |vault| vault.remove(&name)).await
    }

    /// All secrets by name, without their values.
    ///
    /// Errors: the node is shutting down.
    pub async fn secrets(&self) -> Result<Vec<VaultEntry>, Refusal> {
        self.change_vault(|vault| Ok(vault.list())).await
    }

    /// Seals all secrets with a new key and forgets the old one; answers how many.
    ///
    /// Errors: `vault-closed`, `conflict` while a secret is damaged.
    pub async fn rotate_vault_key(&self) -> Result<usize, Refusal> {
        self.change_vault(Vault::rotate).await
    }
}
