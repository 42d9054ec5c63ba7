//! What a node is told when it starts, and why it may not start.

use std::{path::PathBuf, sync::Arc};

use caxton_egress::{EgressOptions, OptionsError};
use caxton_engine::{Directory, EngineError};
use caxton_gate::Policy;
use caxton_model::{EngineKind, Limits};
use caxton_store::{AuditOptions, OpenError, StoreOptions, VaultError};

/// How a node runs. Every field has a safe default.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Where journal, state, modules and caches live. `None`: nothing outlives the process.
    pub data: Option<PathBuf>,
    /// Threads that run guests. Default: one per core.
    pub shards: u16,
    /// What turns guest code into action.
    pub engine: EngineKind,
    /// The program that compiles modules in a process of its own, called with `compile-worker`.
    /// `None`: compiled in this process, with limits.
    pub compile_worker: Option<PathBuf>,
    /// What guests may at most ask for.
    pub ceilings: Limits,
    /// Agents the node takes. Default: 100,000.
    pub agents_max: usize,
    /// Memory of the process above which guests get no more, and idle and then large ones go; a
    /// quarter above it the largest are faulted. Unit: bytes. `None`: 60 % of the machine's memory,
    /// or of the control group's limit.
    pub memory_bytes_max: Option<u64>,
    /// What journal, state and modules may take on the disk. Unit: bytes. Default: 10 GiB.
    pub disk_bytes_max: u64,
    /// What the rows of one namespace may take in shared tables. Unit: bytes. Default: 64 MiB.
    pub data_bytes_max: u64,
    /// Compiled modules kept on disk. Unit: bytes. Default: 2 GiB.
    pub cache_bytes_max: u64,
    /// The file with the key of the vault; it is made if it is absent and the vault is empty. `None`:
    /// the vault is closed.
    pub vault_key: Option<PathBuf>,
    /// Whether sampled guest stacks are written for `perf`.
    pub perf_map: bool,
    /// Directories of the machine under the names by which agents see them. Agents reach what of them
    /// they are granted (`fs:read`, `fs:write`); none may lie in another.
    pub directories: Arc<[Directory]>,
    /// Variables that agents can be granted (`env:read`).
    pub environment: Arc<[(String, String)]>,
    /// Proxies and certificate authorities of outgoing HTTP.
    pub egress: EgressOptions,
    /// What the site allows without asking, and forbids whatever is granted.
    pub policy: Policy,
    /// Whether every import that a permission opens is linked, and refusals are remembered, so that
    /// [`crate::Node::learned`] can say what would allow them. Nothing more is allowed.
    pub learn: bool,
    /// How the data directory is kept. What happens when the journal fails is the node's to say: it
    /// ends the process.
    pub store: StoreOptions,
    /// How the audit log in the data directory is kept.
    pub audit: AuditOptions,
    /// Whether each access of a guest, and each change that is asked of the node, waits until its audit
    /// record is on the disk. Default: it is within 10 ms.
    pub audit_sync: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            data: None,
            shards: u16::try_from(cores).unwrap_or(1),
            engine: EngineKind::Cranelift,
            compile_worker: None,
            ceilings: Limits::unlimited(),
            agents_max: 100_000,
            memory_bytes_max: None,
            disk_bytes_max: 10 << 30,
            data_bytes_max: 64 << 20,
            cache_bytes_max: 2 << 30,
            vault_key: None,
            perf_map: false,
            directories: Arc::default(),
            environment: Arc::default(),
            egress: EgressOptions::default(),
            policy: Policy::default(),
            learn: false,
            store: StoreOptions::default(),
            audit: AuditOptions::default(),
            audit_sync: false,
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory can't be used.
    #[error("the data directory {}: {source}", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The vault can't be read.
    #[error("the vault: {0}")]
    Vault(#[from] VaultError),
    /// Outgoing HTTP can't be set up.
    #[error("outgoing HTTP: {0}")]
    Egress(#[from] OptionsError),
    /// The engine can't be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A thread can't be made.
    #[error("starting a thread: {0}")]
    Thread(#[from] std::io::Error),
}
