//! What all threads of a node share. Each part guards itself; there is no lock over all of it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use caxton_engine::Engine;
use caxton_kernel::{Directory, NodeEvent, Refusal};
use caxton_model::{AgentId, ErrorCode, LimitName, ProcessorSpec};
use caxton_store::{Health, Store, Vault};
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    activity::Pulse,
    audit::Audit,
    budget::Budget,
    http::Http,
    listeners::Listeners,
    meters::Meters,
    modules::Modules,
    options::NodeOptions,
    processors::Processors,
    request::{LogLine, NumberedEvent},
    rings::Ring,
    shard::{ShardHandle, ShardMessage},
    tables::Tables,
    tickets::Tickets,
    waiters::Waiters,
};

pub(crate) struct Shared {
    pub(crate) options: NodeOptions,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Store>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) vault: Vault,
    pub(crate) directory: Directory,
    pub(crate) listeners: Listeners,
    pub(crate) modules: Modules,
    pub(crate) processors: Processors,
    pub(crate) tables: Arc<Tables>,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) tickets: Tickets,
    pub(crate) waiters: Waiters,
    pub(crate) events: Ring<NumberedEvent>,
    pub(crate) lines: Ring<LogLine>,
    pub(crate) meters: Meters,
    pub(crate) budget: Budget,
    pub(crate) http: Http,
    /// The last one.
    pub(crate) pulse: Mutex<Arc<Pulse>>,
    pub(crate) io: Handle,
    pub(crate) compiles: Semaphore,
    /// Numbers for names that must be unique, such as a client's `reply_with`.
    pub(crate) next_name: AtomicU64,
    pub(crate) instances: AtomicUsize,
    pub(crate) closing: AtomicBool,
    pub(crate) started: Instant,
}

/// A shard's own count of what all share: each of its turns counts, and threads that count in one
/// place wait for each other.
pub(crate) type ShardShared = Arc<Arc<Shared>>;

impl Shared {
    /// Runs something that blocks on the I/O side. `None`: the runtime is going down.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.io.spawn_blocking(work).await.ok()
    }
    /// What was done in the last second.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Whether the node is shutting down.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
    /// Whether there is a journal.
    pub(crate) fn durable(&self) -> bool {
        self.options.data.is_some()
    }
    /// Notes the limit that an event tells of, if it tells of one.
    pub(crate) fn note_breach(&self, event: &NodeEvent) {
        if let NodeEvent::HostBytes { at, owner, .. } = event
            && let Some(listing) = self.directory.resolve(owner)
        {
            let limit = LimitName::HostBytes;
            self.meters.breach(listing.spec.id, limit, 0, *at);
        }
    }
    /// Forgets an agent that is gone.
    pub(crate) fn forget(&self, agent: AgentId) {
        self.meters.forget(agent);
        self.listeners.forget(agent);
    }
    /// Enters a processor that was deployed, or forgets one that was removed.
    pub(crate) fn processor_changed(&self, name: Arc<str>, spec: Option<Arc<ProcessorSpec>>) {
        if let Some(gone) = self.processors.set(self, name, spec) {
            self.meters.forget(gone.spec.id);
        }
    }
    /// Whether an owner's namespace is one of those for which the host keeps most, while the node
    /// comes near to its memory budget or its journal falls behind: it adds nothing then, so that
    /// nobody else meets the budget.
    pub(crate) fn adds_too_much(&self, owner: &str) -> bool {
        let is_near = self.budget.is_near();
        let too_much =
            (is_near || self.store.is_half_full()) && self.directory.host_shares().is_heavy(owner);
        if too_much && is_near {
            self.budget.note_heavy();
        }
        too_much
    }
    /// Why no request is taken now, if none is.
    pub(crate) fn refuses(&self) -> Option<Refusal> {
        if self.closing.load(Ordering::Relaxed) {
            return Some(shutting_down());
        }
        match self.store.health() {
            Health::Good => None,
            Health::Full => Some(Refusal::new(
                ErrorCode::DiskFull,
                "the data directory's disk has no room; nothing is lost, and the node goes on when there is",
            )),
            Health::NoDescriptors => Some(Refusal::new(
                ErrorCode::NodeBudget,
                "the node has as many open files as it may have (`ulimit -n`); nothing is lost, and it goes on when others are closed",
            )),
            Health::Failed => Some(Refusal::new(
                ErrorCode::Internal,
                "the journal failed; the process ends and recovers from the disk",
            )),
        }
    }
    /// Hands an event to a shard.
    ///
    /// Errors: its queue is full, or the node is shutting down.
    pub(crate) fn send(&self, shard: u16, message: ShardMessage) -> Result<(), Refusal> {
        let handle = self.shards.get(usize::from(shard)).ok_or_else(|| {
            Refusal::new(ErrorCode::Internal, format!("there is no shard {shard}"))
        })?;
        handle.send(message)
    }
}

/// The answer to whoever asks while the node ends.
pub(crate) fn shutting_down() -> Refusal {
    Refusal::new(ErrorCode::ShuttingDown, "the node is shutting down")
}
