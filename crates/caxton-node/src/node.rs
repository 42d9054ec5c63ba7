//! A running node: started, asked, shut down.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use caxton_engine::{Engine, EngineOptions, Room};
use caxton_kernel::{Directory, Event, Kernel, KernelOptions, Listing, Refusal, Ticket};
use caxton_model::{ErrorCode, State};
use caxton_store::{Store, StoreOptions, Vault, needed_modules};
use tokio::sync::{Semaphore, broadcast};

use crate::{
    activity::{Footprint, Pulse},
    audit::Audit,
    budget::{self, Budget},
    clock,
    guest_metrics::GuestMetrics,
    http::Http,
    listeners::Listeners,
    meters::Meters,
    modules::Modules,
    options::{NodeOptions, StartError},
    processors::Processors,
    request::{Health, KeptFor, LogLine, NumberedEvent},
    rings::Ring,
    sampler,
    shard::{INBOX_MAX, Shard, ShardHandle, ShardMessage, ShardView},
    shared::{Shared, shutting_down},
    signal::Signal,
    tables::Tables,
    tickets::{Answer, Tickets},
    vault,
    waiters::Waiters,
};

/// Modules compiled at the same time; each may take the memory and time of one compilation.
const COMPILES_MAX: usize = 2;

/// A running node. Clones are the same node.
#[derive(Clone)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
    threads: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("agents", &self.shared.directory.len())
            .finish_non_exhaustive()
    }
}

/// One kernel a shard, each over its part of what was recovered.
fn kernels(state: State, directory: &Directory, journal: bool) -> Vec<Kernel> {
    (0..directory.shards())
        .zip(caxton_kernel::split(state, directory))
        .map(|(shard, part)| {
            let options = KernelOptions {
                shard,
                journal,
                seed: rand::random(),
            };
            Kernel::new(options, directory.clone(), part)
        })
        .collect()
}

impl Node {
    /// Starts a node and recovers what its data directory holds.
    ///
    /// Must be called within a tokio runtime, which stays the node's I/O side. Agents are not
    /// instantiated before they are needed.
    /// Errors: [`StartError`]; nothing runs then.
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        let io = tokio::runtime::Handle::current();
        let (opening, room) = (options.clone(), Room::default());
        let budget = Budget::new(room.clone(), options.disk_bytes_max);
        let opened = io.spawn_blocking(move || open(&opening, room)).await;
        let (engine, store, audit, vault, http, mut state) =
            opened.map_err(|error| StartError::Thread(error.into()))??;
        let shards = options.shards.max(1);
        let directory = Directory::new(shards);
        let (mut inboxes, mut handles) = (Vec::new(), Vec::new());
        for _ in 0..shards {
            let (sender, inbox) = sync_channel(INBOX_MAX);
            let signal = Signal::new(engine.clone());
            inboxes.push((inbox, Arc::clone(&signal)));
            handles.push(ShardHandle { sender, signal });
        }
        let shared = Arc::new(Shared {
            engine,
            store: Arc::new(store),
            audit: Arc::new(audit),
            vault,
            directory: directory.clone(),
            listeners: Listeners::default(),
            modules: Modules::default(),
            processors: Processors::default(),
            tables: Arc::new(Tables::new(
                std::mem::take(&mut state.tables),
                options.data_bytes_max,
            )),
            shards: handles,
            tickets: Tickets::default(),
            waiters: Waiters::default(),
            events: Ring::for_events(options.memory_bytes_max),
            lines: Ring::for_lines(),
            meters: Meters::default(),
            budget,
            http,
            pulse: std::sync::Mutex::default(),
            io,
            compiles: Semaphore::new(COMPILES_MAX),
            next_name: AtomicU64::new(rand::random::<u32>().into()),
            instances: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            started: Instant::now(),
            options,
        });
        shared.processors.recover(&shared, &state);
        state.forget_memory_agents();
        let kernels = kernels(state, &directory, shared.durable());
        let mut threads = Vec::new();
        for ((shard, kernel), (inbox, signal)) in (0..shards).zip(kernels).zip(inboxes) {
            let inner = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || {
                    lower_priority();
                    Shard::new(shard, inner, kernel, inbox, signal).run();
                })?;
            threads.push(thread);
        }
        budget::start(&shared)?;
        sampler::start(&shared);
        Ok(Self {
            shared,
            threads: Arc::new(std::sync::Mutex::new(threads)),
        })
    }

    /// Stops taking requests, lets the turns that run end, makes everything durable, and ends.
    ///
    /// Bounds: turns that last longer than `grace` are dropped; they did not happen. Calls of processors
    /// are ended at once.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.processors.close();
        let by = Instant::now() + grace;
        for shard in 0..self.shared.directory.shards() {
            self.insist(shard, ShardMessage::Close(by)).await;
        }
        let threads = Arc::clone(&self.threads);
        let (store, audit) = (
            Arc::clone(&self.shared.store),
            Arc::clone(&self.shared.audit),
        );
        let ended = self.shared.clone().blocking(move || {
            let threads = std::mem::take(
                &mut *threads
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            );
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a shard's thread panicked");
                }
            }
            audit.close();
            store.close();
        });
        if ended.await.is_none() {
            tracing::error!("the runtime ended before the node did");
        }
        // A turn that was dropped answers nobody.
        self.shared.tickets.close();
    }

    /// Hands a message to a shard that may be busy, and waits until it takes it.
    async fn insist(&self, shard: u16, mut message: ShardMessage) {
        let Some(handle) = self.shared.shards.get(usize::from(shard)) else {
            return;
        };
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = handle.sender.try_send(message) {
            message = back;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        handle.signal.ring();
    }

    /// Sends an event to a shard and waits for its answer.
    pub(crate) async fn ask(&self, shard: u16, event: impl FnOnce(Ticket) -> Event) -> Answer {
        if let Some(refusal) = self.shared.refuses() {
            return Err(refusal);
        }
        let (ticket, answer) = self.shared.tickets.open();
        if let Err(refusal) = self.shared.send(shard, ShardMessage::Event(event(ticket))) {
            self.shared.tickets.answer(ticket, Err(refusal));
        }
        answer.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    /// Asks a shard about what it knows.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        shard: u16,
        question: impl FnOnce(&ShardView<'_>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let question = Box::new(move |view: &ShardView<'_>| {
            // Whoever asked may have gone away.
            let _ = sender.send(question(view));
        });
        self.shared.send(shard, ShardMessage::Inspect(question))?;
        answer.await.map_err(|_| shutting_down())
    }

    /// Waits until everything that was decided before now is durable.
    pub(crate) async fn settle(&self) -> Result<(), Refusal> {
        let (sender, done) = tokio::sync::oneshot::channel();
        self.shared.store.notify(move |result| {
            let _ = sender.send(result);
        });
        match done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failed)) => Err(Refusal::new(failed.code(), failed.to_string())),
            Err(_) => Err(shutting_down()),
        }
    }

    /// The agent of that id or name, if there is one.
    #[must_use]
    pub fn listing(&self, agent: &str) -> Option<Listing> {
        self.shared.directory.resolve(agent)
    }
    /// The agent of that id or name.
    ///
    /// Errors: `not-found`.
    pub fn find(&self, agent: &str) -> Result<Listing, Refusal> {
        self.shared.directory.resolve(agent).ok_or_else(|| {
            let all = self.shared.directory.all();
            let names = all.iter().map(|listing| listing.spec.name.as_str());
            let nearest = caxton_model::nearest(agent, names)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            let shown: String = agent.chars().take(100).collect();
            Refusal::new(
                ErrorCode::NotFound,
                format!("there is no agent `{shown}`{nearest}"),
            )
        })
    }
    /// All agents, by id.
    #[must_use]
    pub fn agents(&self) -> Vec<Listing> {
        self.shared.directory.all()
    }
    /// Names of all registered capabilities, each with how many agents offer it.
    #[must_use]
    pub fn capabilities(&self) -> Vec<(Arc<str>, usize)> {
        self.shared.directory.capabilities()
    }
    /// Who offers a capability.
    #[must_use]
    pub fn offering(&self, capability: &str) -> Vec<Listing> {
        self.shared.directory.offering(capability)
    }
    /// The last log lines after a number, oldest first; of one agent, or of all.
    #[must_use]
    pub fn logs(
        &self,
        agent: Option<caxton_model::AgentId>,
        after: u64,
        limit: usize,
    ) -> Vec<LogLine> {
        self.shared.lines.last(limit, |line| {
            line.number > after && agent.is_none_or(|agent| line.agent == agent)
        })
    }
    /// An agent's first log lines behind a number, oldest first.
    #[must_use]
    pub fn logs_after(
        &self,
        agent: caxton_model::AgentId,
        after: u64,
        limit: usize,
    ) -> Vec<LogLine> {
        let fits = |line: &LogLine| line.number > after && line.agent == agent;
        self.shared.lines.first(limit, fits)
    }
    /// Log lines to come.
    #[must_use]
    pub fn watch_logs(&self) -> broadcast::Receiver<LogLine> {
        self.shared.lines.watch()
    }
    /// Events after a number, oldest first, as far as they are kept (the last 10,000).
    #[must_use]
    pub fn events_after(&self, number: u64) -> Vec<NumberedEvent> {
        self.shared
            .events
            .last(usize::MAX, |event| event.number > number)
    }
    /// The number of the newest event; 0 if there was none.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        let newest = self.shared.events.last(1, |_| true);
        newest.last().map_or(0, |event| event.number)
    }
    /// Events to come.
    #[must_use]
    pub fn watch_events(&self) -> broadcast::Receiver<NumberedEvent> {
        self.shared.events.watch()
    }
    /// The engine's cache of compiled modules, if the node has one.
    #[must_use]
    pub fn cache(&self) -> Option<&caxton_engine::Cache> {
        self.shared.engine.cache()
    }
    /// Where modules become machine code.
    #[must_use]
    pub fn compiles_in(&self) -> caxton_engine::CompilesIn {
        self.shared.engine.compiles_in()
    }
    /// How it was started.
    #[must_use]
    pub fn options(&self) -> &NodeOptions {
        &self.shared.options
    }
    /// What was done in the last second, and by whom.
    #[must_use]
    pub fn pulse(&self) -> Arc<Pulse> {
        self.shared.pulse()
    }
    /// What the host keeps for each agent and client beside mailboxes and state.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptFor> {
        let directory = &self.shared.directory;
        let owners = directory.host_shares().owners().into_iter();
        let kept = owners.map(|(owner, used)| KeptFor {
            limit: directory.host_bytes_of(&owner),
            owner,
            used,
        });
        kept.collect()
    }
    /// Memory of agents after their last turn, into the second of each pair. Unit: bytes.
    pub fn memory_bytes(&self, agents: &mut [(caxton_model::AgentId, u64)]) {
        self.shared.meters.memory_bytes(agents);
    }
    /// Agents whose guests have recorded metrics of their own, with those.
    #[must_use]
    pub fn guest_metrics(&self) -> Vec<(Listing, GuestMetrics)> {
        let recorded = |listing: Listing| {
            let metrics = self.shared.meters.guest_metrics(listing.spec.id)?;
            Some((listing, metrics))
        };
        self.agents().into_iter().filter_map(recorded).collect()
    }
    /// Where the process's memory is; `None`: the runtime is going down.
    pub async fn footprint(&self) -> Option<Footprint> {
        let shared = Arc::clone(&self.shared);
        Arc::clone(&self.shared)
            .blocking(move || Footprint::of(&shared))
            .await
    }
    /// How the node is.
    #[must_use]
    pub fn health(&self) -> Health {
        let refusal = self.shared.refuses();
        let store = self.shared.store.metrics();
        Health {
            ready: refusal.is_none(),
            reason: refusal,
            agents: self.shared.directory.len(),
            instances: self.shared.instances.load(Ordering::Relaxed),
            durable: self.shared.durable(),
            damage: self.shared.store.damage(),
            memory: self.shared.budget.memory(),
            disk: self.shared.budget.disk(),
            store,
            uptime: self.shared.started.elapsed(),
        }
    }
}

/// What may wait for the journal under a small memory budget: an eighth of it, and room for some
/// messages of the largest size.
const fn queue_bytes_of(memory_budget: u64) -> u64 {
    let part = memory_budget / 8;
    if part < 8 << 20 { 8 << 20 } else { part }
}

/// What a node opens before anything runs.
type Opened = (Engine, Store, Audit, Vault, Http, State);

/// Opens store, audit log, vault and engine. Blocking.
fn open(options: &NodeOptions, room: Room) -> Result<Opened, StartError> {
    // The store first: it holds the directory for this process and its user alone.
    let (store, state) = match &options.data {
        Some(dir) => open_store(dir, options)?,
        None => (Store::in_memory(), State::default()),
    };
    let audit = Audit::open(options).map_err(|source| StartError::Data {
        path: options.data.clone().unwrap_or_default(),
        source,
    })?;
    let vault = vault::open(options)?;
    let http = Http::new(options.egress.clone())?;
    let engine = Engine::new(EngineOptions {
        kind: options.engine,
        cache_dir: options.data.as_ref().map(|dir| dir.join("cache")),
        cache_bytes_max: options.cache_bytes_max,
        compile_worker: options.compile_worker.clone(),
        agents_max: u32::try_from(options.agents_max).unwrap_or(u32::MAX),
        perf_map: options.perf_map,
        room,
        ..EngineOptions::default()
    })?;
    engine.reserve_agents()?;
    Ok((engine, store, audit, vault, http, state))
}

fn open_store(dir: &Path, options: &NodeOptions) -> Result<(Store, State), StartError> {
    let queue_bytes = options.memory_bytes_max.map_or(u64::MAX, queue_bytes_of);
    let store_options = StoreOptions {
        on_fatal: on_fatal(),
        queue_bytes_max: options.store.queue_bytes_max.min(queue_bytes),
        ..options.store.clone()
    };
    let (store, recovered) =
        Store::open(dir, store_options).map_err(|source| StartError::Data {
            path: dir.to_owned(),
            source,
        })?;
    clock::go_on(recovered.newest);
    for notice in &recovered.notices {
        tracing::warn!("{notice}");
    }
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            ?torn,
            "the journal's half-written end was cut off; nothing of it was acknowledged"
        );
    }
    drop_unused_modules(&store, &recovered.state);
    Ok((store, recovered.state))
}

/// Removes modules that no agent runs or could go back to, and no processor has. Before any deploy can begin.
fn drop_unused_modules(store: &Store, state: &State) {
    let live = needed_modules(state).map(|(_, module)| module).collect();
    if let Err(error) = store.blobs().remove_unreferenced(&live) {
        tracing::warn!(%error, "modules that nobody uses could not be removed");
    }
}

/// What ends the process when the journal fails: memory beyond the durable place is speculation.
fn on_fatal() -> caxton_store::OnFatal {
    static SAID: OnceLock<()> = OnceLock::new();
    Arc::new(|failed| {
        if SAID.set(()).is_ok() {
            tracing::error!(%failed, "the journal failed; ending the process to recover from the disk");
        }
        std::process::exit(70);
    })
}

/// Guests must not delay the I/O side: their threads step back where cores are few.
pub(crate) fn lower_priority() {
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "can't lower the priority of a shard's thread");
    }
}
