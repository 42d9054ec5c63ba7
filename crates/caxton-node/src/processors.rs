//! Processors that are deployed, and their calls: on threads of their own beside the shards, so that no
//! call keeps an agent waiting.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use caxton_engine::{FileUsage, Linked, LogRate};
use caxton_gate::Gate;
use caxton_kernel::Refusal;
use caxton_model::{
    AgentId, ErrorCode, Fault, GrantedRules, LimitName, ProcessorSpec, State, UNLIMITED, nearest,
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{OnceCell, oneshot},
};

use crate::{
    clock,
    modules::{self, Serves, Stored},
    rights::{EffectiveRights, Holder},
    shared::{Shared, shutting_down},
};

/// Calls of all processors at the same time: as many as the engine's pool has instances for.
pub(crate) const CALLS_MAX: u64 = 256;

/// What is known of one processor. It outlives updates.
#[derive(Debug)]
pub(crate) struct Counters {
    under_way: AtomicU64,
    under_way_peak: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) cpu_micros: AtomicU64,
    /// How many log lines are still within the rate.
    pub(crate) log: Mutex<LogRate>,
    /// What its calls have written into files since the node's start.
    pub(crate) files: Arc<FileUsage>,
}

impl Counters {
    fn new(spec: &ProcessorSpec) -> Self {
        let per_second = spec.limits.get(LimitName::LogLinesPerSecond);
        Self {
            under_way: AtomicU64::new(0),
            under_way_peak: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            cpu_micros: AtomicU64::new(0),
            log: Mutex::new(LogRate::new(per_second, clock::now())),
            files: Arc::default(),
        }
    }
    /// Calls that run now, and the most there were.
    pub(crate) fn under_way(&self) -> (u64, u64) {
        (
            self.under_way.load(Relaxed),
            self.under_way_peak.load(Relaxed),
        )
    }
}

/// A version of a processor, as deployed.
#[derive(Debug)]
pub(crate) struct Processor {
    pub(crate) spec: Arc<ProcessorSpec>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) granted: GrantedRules,
    /// The gate of all its versions: calls that run are held to what counts now, whatever counted when
    /// they began.
    pub(crate) gate: Gate,
    linked: OnceCell<Linked>,
}

impl Processor {
    /// A processor in place of another version of it, or of itself with other grants.
    fn new(
        shared: &Shared,
        spec: Arc<ProcessorSpec>,
        granted: GrantedRules,
        before: Option<&Self>,
    ) -> Arc<Self> {
        let holder = Holder::from(&*spec);
        let rights = EffectiveRights::new(shared, holder, &granted);
        let gate = before.map(|before| before.gate.clone());
        if let Some(gate) = &gate {
            rights.enforce(gate);
        }
        let counters = before.map(|before| Arc::clone(&before.counters));
        Arc::new(Self {
            counters: counters.unwrap_or_else(|| Arc::new(Counters::new(&spec))),
            gate: gate.unwrap_or_else(|| rights.gate(shared, holder)),
            granted,
            spec,
            linked: OnceCell::new(),
        })
    }
    /// Its module, linked; loaded where this process has not called it yet.
    pub(crate) async fn linked(&self, shared: &Arc<Shared>) -> Result<&Linked, Fault> {
        let link = || async {
            let spec = &self.spec;
            let stored = Stored {
                digest: spec.module,
                profile: spec.profile,
                limits: spec.limits.clone(),
                serves: Serves::Processor,
                of: spec.name.shared(),
            };
            let module = modules::ready(shared, stored).await?;
            let rights = EffectiveRights::new(shared, Holder::from(&**spec), &self.granted);
            let linked = shared.engine.link(&module.compiled, rights.imports());
            linked.map_err(|error| Fault::new(error.code(), error.to_string()))
        };
        self.linked.get_or_try_init(link).await
    }
}

/// A place among the calls of a processor, until it is dropped.
pub(crate) struct Place(Arc<Shared>, Arc<Counters>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.processors.under_way.fetch_sub(1, Relaxed);
        self.1.under_way.fetch_sub(1, Relaxed);
    }
}

/// A call that runs, as the budget's watcher sees it.
#[derive(Debug)]
struct Running {
    bytes: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<Fault>>,
}

/// A call's entry among those that run, until it is dropped.
pub(crate) struct Entered {
    shared: Arc<Shared>,
    number: u64,
    /// Its guest's memory. Unit: bytes.
    pub(crate) bytes: Arc<AtomicU64>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.processors.running().remove(&self.number);
    }
}

/// All processors of a node.
#[derive(Debug, Default)]
pub(crate) struct Processors {
    known: RwLock<BTreeMap<Arc<str>, Arc<Processor>>>,
    running: Mutex<BTreeMap<u64, Running>>,
    begun: AtomicU64,
    under_way: AtomicU64,
    workers: Mutex<Option<Runtime>>,
}

impl Processors {
    /// Enters those that were recovered.
    pub(crate) fn recover(&self, shared: &Shared, state: &State) {
        for (name, spec) in &state.processors {
            self.set(shared, Arc::clone(name), Some(Arc::clone(spec)));
            if let Some(granted) = state.granted.get(&spec.id) {
                self.grant(shared, spec.id, granted);
            }
        }
    }
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Enters what was deployed under a name, or takes it out. Calls that run go on as they began.
    ///
    /// Answers what is there no more.
    pub(crate) fn set(
        &self,
        shared: &Shared,
        name: Arc<str>,
        spec: Option<Arc<ProcessorSpec>>,
    ) -> Option<Arc<Processor>> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(spec) = spec else {
            return known.remove(&name);
        };
        let before = known.get(&name).map(|before| &**before);
        let granted = before.map(|before| Arc::clone(&before.granted));
        let processor = Processor::new(shared, spec, granted.unwrap_or_default(), before);
        known.insert(name, processor);
        None
    }
    /// Has other grants count for the processor of that id, if there is one: at the next access of the
    /// calls that run, and in what the next call is linked with.
    pub(crate) fn grant(&self, shared: &Shared, id: AgentId, granted: &GrantedRules) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.values_mut().find(|known| known.spec.id == id) {
            let (spec, granted) = (Arc::clone(&entry.spec), Arc::clone(granted));
            *entry = Processor::new(shared, spec, granted, Some(entry));
        }
    }
    /// The processor of that full name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Processor>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned()
    }
    /// The processor of that full name.
    ///
    /// Errors: `not-found`.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Processor>, Refusal> {
        self.get(name).ok_or_else(|| {
            let all = self.all();
            let near = nearest(name, all.iter().map(|one| one.spec.name.as_str()))
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            let shown: String = name.chars().take(100).collect();
            let text = format!("there is no processor `{shown}`{near}");
            Refusal::new(ErrorCode::NotFound, text)
        })
    }
    /// Whether a processor is there, in whatever version.
    pub(crate) fn knows(&self, processor: &Processor) -> bool {
        let now = self.get(processor.spec.name.as_str());
        now.is_some_and(|now| Arc::ptr_eq(&now.counters, &processor.counters))
    }
    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Processor>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().cloned().collect()
    }
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.len()
    }
    /// Calls of all of them that run now.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Relaxed)
    }

    /// Begins one more call of a processor.
    ///
    /// Errors: `concurrency-limit` where as many run as its limit allows, `too-many-requests` where
    /// the whole node runs as many as it can. Nobody waits in a queue.
    pub(crate) fn enter(shared: &Arc<Shared>, processor: &Processor) -> Result<Place, Refusal> {
        let (own, all) = (&processor.counters, &shared.processors);
        let now = own.under_way.fetch_add(1, Relaxed) + 1;
        let node = all.under_way.fetch_add(1, Relaxed) + 1;
        let place = Place(Arc::clone(shared), Arc::clone(own));
        let name = LimitName::ConcurrentCalls;
        let most = processor.spec.limits.get(name);
        if now > most {
            let at = clock::now();
            shared.meters.breach(processor.spec.id, name, now, at);
            let text = format!(
                "`{}` runs {} calls, as many as its limit `concurrent_calls` allows",
                processor.spec.name,
                name.show(most)
            );
            return Err(Refusal::new(ErrorCode::ConcurrencyLimit, text));
        }
        if node > CALLS_MAX {
            let text = format!("the node runs {CALLS_MAX} calls of processors, as many as it can");
            return Err(Refusal::new(ErrorCode::TooManyRequests, text));
        }
        own.under_way_peak.fetch_max(now, Relaxed);
        Ok(place)
    }

    /// Enters a call among those that run. What is sent through the other end faults it.
    pub(crate) fn begin(shared: &Arc<Shared>) -> (Entered, oneshot::Receiver<Fault>) {
        let processors = &shared.processors;
        let number = processors.begun.fetch_add(1, Relaxed) + 1;
        let (bytes, (stop, stopped)) = (Arc::new(AtomicU64::new(0)), oneshot::channel());
        let running = Running {
            bytes: Arc::clone(&bytes),
            stop: Some(stop),
        };
        processors.running().insert(number, running);
        let entered = Entered {
            shared: Arc::clone(shared),
            number,
            bytes,
        };
        (entered, stopped)
    }
    /// Calls that run, each with the memory of its guest. Unit: bytes.
    pub(crate) fn held(&self) -> Vec<(u64, u64)> {
        let running = self.running();
        let held = running.iter();
        held.map(|(number, call)| (*number, call.bytes.load(Relaxed)))
            .collect()
    }
    /// Faults a call that runs; it ends when its guest next gives way. Answers whether it still ran.
    pub(crate) fn fault(&self, number: u64, fault: Fault) -> bool {
        let mut running = self.running();
        let stop = running.get_mut(&number).and_then(|call| call.stop.take());
        stop.is_some_and(|stop| stop.send(fault).is_ok())
    }
    /// Whether a call still runs.
    pub(crate) fn runs(&self, number: u64) -> bool {
        self.running().contains_key(&number)
    }

    /// The threads that calls run on, made for the first call.
    ///
    /// Errors: the system gives no threads, or the node is shutting down.
    pub(crate) fn workers(&self, shared: &Shared) -> Result<Handle, Refusal> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_closing() {
            return Err(shutting_down());
        }
        if let Some(runtime) = &*workers {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_multi_thread()
            .worker_threads(usize::from(shared.options.shards.max(1)))
            .thread_name("processors")
            .on_thread_start(crate::node::lower_priority)
            .enable_time()
            .build();
        let runtime = made.map_err(|error| {
            let text = format!("the threads for calls of processors can't start: {error}");
            Refusal::new(ErrorCode::NodeBudget, text)
        })?;
        let handle = runtime.handle().clone();
        *workers = Some(runtime);
        Ok(handle)
    }
    /// Ends all calls: each when its guest next gives way. None begins any more.
    pub(crate) fn close(&self) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = workers.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        self.close();
    }
}

/// How much of a limit a processor uses, where it has such a limit.
pub(crate) fn is_shown(limit: u64, peak: u64) -> bool {
    limit != UNLIMITED || peak > 0
}
