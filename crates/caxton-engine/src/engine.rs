//! The engine: one runtime per profile and memory form, made when first asked for.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use caxton_model::{EngineKind, EngineProfile, ErrorCode, Fault, Micros};
use caxton_package::Verified;

use crate::{
    Cache, CacheError, Compiled, CompilesIn, Frames, Room,
    config::{self, MemoryForm},
    raw,
    ticker::{Ticker, Touch},
};

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Native code or the interpreter.
    pub kind: EngineKind,
    /// Where compiled modules are kept; `None`: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// The cache's size. Unit: bytes.
    pub cache_bytes_max: u64,
    /// The program that compiles in a process of its own when called with `compile-worker`;
    /// `None`: compile in this process, with the bound on size alone.
    pub compile_worker: Option<PathBuf>,
    /// Memory of one compilation. Unit: bytes.
    pub compile_memory_bytes_max: u64,
    /// Time of one compilation, as CPU time and twice that by the clock.
    pub compile_time_max: Micros,
    /// Compilations at the same time; more wait for their turn.
    pub compile_parallel_max: u32,
    /// Processors and extensions at work at the same time, per profile.
    pub pool_slots: u32,
    /// Agents alive at the same time.
    pub agents_max: u32,
    /// Write `/tmp/perf-PID.map`, so that `perf` can name guest functions.
    pub perf_map: bool,
    /// What all guests together may still take; unbounded where nobody sets it.
    pub room: Room,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            kind: EngineKind::Cranelift,
            cache_dir: None,
            cache_bytes_max: 2 << 30,
            compile_worker: None,
            compile_memory_bytes_max: 2 << 30,
            compile_time_max: Micros::secs(60),
            compile_parallel_max: 2,
            pool_slots: 256,
            agents_max: 100_000,
            perf_map: false,
            room: Room::default(),
        }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The runtime refused its settings or this machine.
    #[error("the {kind} engine can't start under profile `{profile}`: {reason}; {}", ErrorCode::EngineUnavailable.remedy())]
    Unavailable {
        /// Which engine.
        kind: EngineKind,
        /// Which profile.
        profile: EngineProfile,
        /// What the runtime says.
        reason: String,
    },
    /// The system gives this process too few addresses, as under `ulimit -v`.
    #[error(
        "the system gives this process no address space for the memories and stacks of guests: \
         its virtual memory is limited (`ulimit -v`)"
    )]
    AddressSpace,
    /// No profile of that name in this build.
    #[error(
        "this build has no engine for profile `{profile}`; use hardened, metered or deterministic"
    )]
    NoProfile {
        /// Which profile.
        profile: EngineProfile,
    },
    /// The cache's directory can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The pre-empting thread could not start.
    #[error("can't start the thread that pre-empts guests: {0}")]
    Thread(#[source] std::io::Error),
}

impl EngineError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } | Self::AddressSpace | Self::Thread(_) => {
                ErrorCode::EngineUnavailable
            }
            Self::NoProfile { .. } => ErrorCode::ProfileRequired,
            Self::Cache(_) => ErrorCode::Internal,
        }
    }
}

/// Lets so many in at a time. For blocking work off the shards only.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<u32>,
    freed: Condvar,
}

/// A place inside a [`Gate`], given back when dropped.
pub(crate) struct Place<'a>(&'a Gate);

impl Gate {
    fn new(places: u32) -> Self {
        Self {
            free: Mutex::new(places.max(1)),
            freed: Condvar::new(),
        }
    }
    /// Waits for a place. Bounds: each compilation ends by its own time limit.
    pub(crate) fn enter(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_while(free, |free| *free == 0);
        let mut free = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_sub(1);
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// One engine of the runtime, with its place in the table.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) profile: EngineProfile,
    pub(crate) form: MemoryForm,
}

pub(crate) struct Inner {
    pub(crate) options: EngineOptions,
    runtimes: Mutex<BTreeMap<(EngineProfile, MemoryForm), Runtime>>,
    slabs: Mutex<Option<Arc<raw::Slabs>>>,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiling: Gate,
    ticker: Ticker,
    pub(crate) packed_bytes: Arc<AtomicU64>,
}

/// Everything that compiles and runs guests. Cost of a clone: one reference count.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the cache, starts the pre-empting thread, and proves that the hardened engine works here.
    ///
    /// Errors: a machine that forbids executable memory, an unusable cache directory.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let cache = match &options.cache_dir {
            Some(dir) => Some(Cache::open(dir, options.cache_bytes_max)?),
            None => None,
        };
        let ticker = Ticker::start().map_err(EngineError::Thread)?;
        let engine = Self {
            inner: Arc::new(Inner {
                compiling: Gate::new(options.compile_parallel_max),
                options,
                runtimes: Mutex::default(),
                slabs: Mutex::default(),
                cache,
                ticker,
                packed_bytes: Arc::default(),
            }),
        };
        engine.prove()?;
        Ok(engine)
    }
    /// Takes the address space of the first thousand agents, so that a lack of it shows at once. It
    /// costs no memory.
    ///
    /// Errors: [`EngineError::AddressSpace`].
    pub fn reserve_agents(&self) -> Result<(), EngineError> {
        self.slabs()
            .reserve()
            .map_err(|_| EngineError::AddressSpace)
    }
    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }
    /// Where modules become machine code.
    #[must_use]
    pub fn compiles_in(&self) -> CompilesIn {
        CompilesIn::of(&self.inner.options)
    }
    /// The runtime's name and version, as it is part of the cache's keys.
    #[must_use]
    pub fn version() -> String {
        format!("wasmtime {}", config::WASMTIME_VERSION)
    }
    /// The cache of compiled modules, if there is one.
    #[must_use]
    pub fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }
    /// Sum of the linear memories of all live agents, as large as they made them. Unit: bytes.
    #[must_use]
    pub fn agents_memory_bytes(&self) -> u64 {
        self.slabs().memory_bytes()
    }
    /// What the memories of agents that are idle for long take while they are packed. Unit: bytes.
    #[must_use]
    pub fn agents_packed_bytes(&self) -> u64 {
        self.inner.packed_bytes.load(Relaxed)
    }
    /// What of all live agents' stacks is in memory. Unit: bytes.
    ///
    /// Cost: a system call for each 1,024 agents that ever lived at the same time.
    #[must_use]
    pub fn agents_stack_bytes(&self) -> u64 {
        self.slabs().stack_resident_bytes()
    }
    /// Adds source lines to a fault's backtrace from the module's DWARF.
    ///
    /// For the I/O side: reads up to the whole module. Bounds: see [`Frames`].
    pub fn symbolise(&self, module: &Verified, fault: &mut Fault) {
        Frames::of(module).add_sources(fault);
    }
    /// Ends the slice of every guest that runs on an engine without fuel, before its time: somebody
    /// waits for its thread. Cost: a microsecond here and at each such guest.
    pub fn preempt(&self) {
        self.inner.ticker.tick();
    }
    pub(crate) fn touch(&self) -> Touch {
        self.inner.ticker.touch()
    }
    /// The engine for a profile and a memory form, made now if this is the first time.
    pub(crate) fn runtime(
        &self,
        profile: EngineProfile,
        form: MemoryForm,
    ) -> Result<Runtime, EngineError> {
        if profile == EngineProfile::Wide {
            return Err(EngineError::NoProfile { profile });
        }
        let mut runtimes = self
            .inner
            .runtimes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtimes.get(&(profile, form)) {
            return Ok(runtime.clone());
        }
        let engine = self.make(profile, form)?;
        if !profile.has_fuel() {
            self.inner.ticker.add(&engine);
        }
        let runtime = Runtime {
            engine,
            profile,
            form,
        };
        runtimes.insert((profile, form), runtime.clone());
        Ok(runtime)
    }
    fn make(
        &self,
        profile: EngineProfile,
        form: MemoryForm,
    ) -> Result<wasmtime::Engine, EngineError> {
        let options = &self.inner.options;
        let unavailable = |error: wasmtime::Error| EngineError::Unavailable {
            kind: options.kind,
            profile,
            reason: format!("{error:#}"),
        };
        let slabs = match form {
            MemoryForm::Agents => Some(self.slabs()),
            MemoryForm::Pooled => None,
        };
        // Address space may be bounded (`ulimit -v`, containers): fewer slots are better than none.
        let mut slots = options.pool_slots.max(1);
        loop {
            let made = config::config(
                options.kind,
                options.perf_map,
                profile,
                form,
                Some(slots),
                slabs.as_ref(),
            )
            .and_then(|config| wasmtime::Engine::new(&config));
            match made {
                Ok(engine) => return Ok(engine),
                Err(_) if form == MemoryForm::Pooled && slots > 4 => slots /= 2,
                Err(error) if form == MemoryForm::Pooled && lacks_addresses(&error) => {
                    return Err(EngineError::AddressSpace);
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }
    pub(crate) fn slabs(&self) -> Arc<raw::Slabs> {
        let mut slabs = self
            .inner
            .slabs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        slabs
            .get_or_insert_with(|| raw::Slabs::new(self.inner.options.agents_max))
            .clone()
    }
    /// Compiles and loads the empty module: fails where executable memory is forbidden.
    fn prove(&self) -> Result<(), EngineError> {
        let profile = EngineProfile::Hardened;
        let runtime = self.runtime(profile, MemoryForm::Agents)?;
        wasmtime::Module::new(&runtime.engine, EMPTY_MODULE)
            .map(|_| ())
            .map_err(|error| EngineError::Unavailable {
                kind: self.inner.options.kind,
                profile,
                reason: format!("{error:#}"),
            })
    }
    /// The memory form for what a module serves as.
    pub(crate) const fn form_for(kind: caxton_model::Kind) -> MemoryForm {
        match kind {
            caxton_model::Kind::Agent => MemoryForm::Agents,
            _ => MemoryForm::Pooled,
        }
    }
    /// Frees what a compiled module no longer needs; for tests of the cache.
    #[doc(hidden)]
    #[must_use]
    pub fn artefact_key(&self, compiled: &Compiled) -> String {
        compiled.cache_key.clone()
    }
}

/// Whether a pool could not be mapped: only a limit of addresses refuses what takes no memory yet.
fn lacks_addresses(error: &wasmtime::Error) -> bool {
    format!("{error:#}").contains("mmap failed to reserve")
}

/// A module with one function, so that there is code to map.
const EMPTY_MODULE: &[u8] = &[
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0b,
];
