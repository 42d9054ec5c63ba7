//! The vault of a node: what operators do with secrets, and what guests' requests read.

use std::sync::Arc;

use bytes::Bytes;
use caxton_egress::Secrets;
use caxton_engine::LogLevel;
use caxton_gate::{Allowed, Gate, SecretUse, VaultRead, VaultWrite};
use caxton_kernel::Refusal;
use caxton_model::{
    AgentName, AgentSpec, AuditAction, AuditOutcome, Digest, HostCode, Namespace, join_outcome,
};
use caxton_store::{Vault, VaultEntry, VaultError, VaultOptions};
use zeroize::Zeroizing;

use crate::{
    Node, NodeOptions,
    access::Perform,
    audit::agent_record,
    clock,
    host::push_line,
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

/// Why a guest is not given what it asked of the vault.
pub(crate) struct VaultRefused {
    /// What it is answered.
    pub(crate) code: HostCode,
    /// What its log says. Nothing of a value is in it.
    pub(crate) text: String,
}

impl From<VaultError> for VaultRefused {
    fn from(error: VaultError) -> Self {
        Self {
            code: error.host_code(),
            text: error.to_string(),
        }
    }
}

/// The secrets of one namespace, for its agents and their requests.
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
    fn name(&self, name: &str) -> Result<AgentName, VaultRefused> {
        AgentName::new(&self.namespace, name).map_err(|error| VaultRefused {
            code: HostCode::Malformed,
            text: error.to_string(),
        })
    }
    fn value(&self, name: &str) -> Result<Bytes, VaultRefused> {
        let value = self.shared.vault.read(&self.name(name)?)?;
        Ok(Bytes::from_owner(value))
    }
    /// The value that a guest asks for.
    pub(crate) fn get(&self, access: Allowed<VaultRead>) -> Result<Bytes, VaultRefused> {
        self.value(access.access().name())
    }
    /// The digest by which a turn that runs again after a crash is seen to set the same value.
    ///
    /// It is in the journal, so it must not help anybody to find a value by trying: it is made of a
    /// tag for which the vault's key is needed. With a new key the turn is taken for another one.
    pub(crate) fn digest(&self, name: &str, value: &[u8]) -> Result<Digest, VaultRefused> {
        let tag = self.shared.vault.tag(&self.name(name)?, value)?;
        Ok(Digest::of(&[&b"caxton vault_put\0"[..], &tag].concat()))
    }
    /// Sets a secret. Blocking; durable when this returns.
    fn put(&self, access: Allowed<VaultWrite>, value: &[u8]) -> Result<(), VaultRefused> {
        let name = self.name(access.access().name())?;
        Ok(self.shared.vault.set(&name, value, clock::wall())?)
    }
}

impl Secrets for AgentSecrets {
    fn read(&self, access: Allowed<SecretUse>) -> Result<Bytes, String> {
        self.value(access.access().name())
            .map_err(|refused| refused.text)
    }
}

/// What sets a secret for a guest, on the I/O side.
pub(crate) fn performer(
    (shared, spec): (Arc<Shared>, Arc<AgentSpec>),
    gate: Gate,
    mut access: Allowed<VaultWrite>,
    value: Zeroizing<Vec<u8>>,
) -> Perform {
    Box::new(move |_| {
        let inner = Arc::clone(&shared);
        let put = move || {
            let secrets = AgentSecrets::new(&inner, spec.name.namespace());
            let name = access.access().name().to_owned();
            // The grant may have been taken back while the intent was made durable.
            let done = match gate.recheck(&mut access, clock::wall()) {
                Ok(()) => secrets.put(access, &value),
                Err(denied) => Err(VaultRefused {
                    code: HostCode::Denied,
                    text: denied.to_string(),
                }),
            };
            let outcome = match done {
                Ok(()) => AuditOutcome::Succeeded,
                Err(_) => AuditOutcome::Failed,
            };
            let mut record = agent_record(&spec.name, spec.id, AuditAction::VaultUse, outcome);
            record.target = Some(name);
            record = record.with("operation", "put");
            if let Err(refused) = &done {
                record = record.with("code", refused.code.as_i32().to_string());
                push_line(&inner, &spec, clock::now(), LogLevel::Warn, &refused.text);
            }
            inner.audit.note(record);
            join_outcome(done.map_err(|refused| refused.code), &[])
        };
        Box::pin(async move {
            let lost = || join_outcome(Err(HostCode::Unavailable), &[]);
            shared.blocking(put).await.unwrap_or_else(lost)
        })
    })
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
