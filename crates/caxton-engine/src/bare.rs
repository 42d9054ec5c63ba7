//! The runtime without us: what a benchmark's figure is put beside, in the same process and run.
//!
//! Synchronous calls, no limits, no clock, no fibers, nothing granted: the least that running the
//! same guest can cost here. Not for guests whose code is not ours.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use wasmtime::{
    Caller, Config, Enabled, InstanceAllocationStrategy, InstancePre, Linker, Memory, Module,
    PoolingAllocationConfig, Store, TypedFunc,
};

use crate::raw;

#[allow(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "the source of a guest, which is compiled for two worlds; here natively, at full speed"
)]
#[path = "../../../guests/rust/bench/src/kernels.rs"]
pub mod native;

/// Pooled instances the bare pool has room for.
const POOL_SLOTS: u32 = 64;

/// Why a bare part did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BareError {
    /// The runtime refused.
    #[error("the bare runtime: {0}")]
    Runtime(String),
    /// The artefact's file.
    #[error("the bare artefact: {0}")]
    File(#[from] std::io::Error),
}

impl From<wasmtime::Error> for BareError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Runtime(format!("{error:#}"))
    }
}

fn lacks(what: &str) -> BareError {
    BareError::Runtime(format!("the guest has no {what}"))
}

fn settings() -> Config {
    let mut config = Config::new();
    config.gc_support(false).concurrency_support(false);
    config
}

/// A processor of the C-string form: a fresh pooled instance for each call.
pub struct BareProcessor {
    pre: InstancePre<()>,
}

impl std::fmt::Debug for BareProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareProcessor").finish_non_exhaustive()
    }
}

impl BareProcessor {
    /// Compiles it. Imports, if there are any, must not be called.
    pub fn new(module: &[u8]) -> Result<Self, BareError> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(POOL_SLOTS)
            .total_memories(POOL_SLOTS)
            .total_tables(POOL_SLOTS)
            .linear_memory_keep_resident(1 << 20)
            .table_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto);
        let mut config = settings();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let module = Module::new(&engine, module)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&module)?;
        Ok(Self {
            pre: linker.instantiate_pre(&module)?,
        })
    }
    /// Instantiates, allocates, processes, reads the output, frees, and drops the instance.
    pub fn call(&self, input: &[u8]) -> Result<Vec<u8>, BareError> {
        let mut store = Store::new(self.pre.module().engine(), ());
        let instance = self.pre.instantiate(&mut store)?;
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
            initialize.call(&mut store, ())?;
        }
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| lacks("memory"))?;
        let allocate = instance.get_typed_func::<i32, i32>(&mut store, "allocate")?;
        let process = instance.get_typed_func::<i32, i32>(&mut store, "process")?;
        let deallocate = instance.get_typed_func::<(i32, i32), ()>(&mut store, "deallocate")?;
        let len = i32::try_from(input.len() + 1).unwrap_or(i32::MAX);
        let ptr = allocate.call(&mut store, len)?;
        let at = ptr.cast_unsigned() as usize;
        let out_of_bounds = |_| lacks("room where it says");
        memory.write(&mut store, at, input).map_err(out_of_bounds)?;
        memory
            .write(&mut store, at + input.len(), &[0])
            .map_err(out_of_bounds)?;
        let out = process.call(&mut store, ptr)?.cast_unsigned() as usize;
        let rest = memory.data(&store).get(out..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        let output = rest.get(..end).unwrap_or_default().to_vec();
        deallocate.call(&mut store, (ptr, len))?;
        Ok(output)
    }
}

/// A live agent: one store, called for each message; what it sends is copied out and kept.
pub struct BareAgent {
    module: Module,
    store: Store<VecDeque<Vec<u8>>>,
    memory: Memory,
    allocate: TypedFunc<i32, i32>,
    deallocate: Option<TypedFunc<(i32, i32), ()>>,
    handle_message: TypedFunc<(i32, i32), i32>,
}

impl std::fmt::Debug for BareAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareAgent").finish_non_exhaustive()
    }
}

/// `send_message` of a bare agent: the bytes are copied out, as any host must.
fn send(mut caller: Caller<'_, VecDeque<Vec<u8>>>, ptr: i32, len: i32) -> wasmtime::Result<i32> {
    let memory = caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory)
        .ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    let mut json = vec![0; len.cast_unsigned() as usize];
    memory
        .read(&caller, ptr.cast_unsigned() as usize, &mut json)
        .map_err(|_| wasmtime::Error::msg("a pointer outside memory"))?;
    caller.data_mut().push_back(json);
    Ok(0)
}

impl BareAgent {
    /// Compiles and instantiates it; imports other than `send_message` answer 0.
    pub fn new(module: &[u8]) -> Result<Self, BareError> {
        let engine = wasmtime::Engine::new(&settings())?;
        Self::of(&Module::new(&engine, module)?)
    }
    /// Another one of the same module.
    pub fn another(&self) -> Result<Self, BareError> {
        Self::of(&self.module)
    }
    fn of(module: &Module) -> Result<Self, BareError> {
        let engine = module.engine();
        let mut store = Store::new(engine, VecDeque::new());
        let mut linker = Linker::new(engine);
        linker.func_wrap("caxton", "send_message", send)?;
        linker.define_unknown_imports_as_default_values(&mut store, module)?;
        let instance = linker.instantiate(&mut store, module)?;
        if let Ok(init) = instance.get_typed_func::<(), i32>(&mut store, "agent_init") {
            init.call(&mut store, ())?;
        }
        Ok(Self {
            module: module.clone(),
            memory: instance
                .get_memory(&mut store, "memory")
                .ok_or_else(|| lacks("memory"))?,
            allocate: instance
                .get_typed_func(&mut store, "allocate")
                .or_else(|_| instance.get_typed_func(&mut store, "caxton_alloc"))?,
            deallocate: instance
                .get_typed_func(&mut store, "deallocate")
                .or_else(|_| instance.get_typed_func(&mut store, "caxton_free"))
                .ok(),
            handle_message: instance.get_typed_func(&mut store, "handle_message")?,
            store,
        })
    }
    /// Allocates, copies the message in, calls, frees.
    pub fn handle(&mut self, message: &[u8]) -> Result<i32, BareError> {
        let len = i32::try_from(message.len()).unwrap_or(i32::MAX);
        let ptr = self.allocate.call(&mut self.store, len)?;
        self.memory
            .write(&mut self.store, ptr.cast_unsigned() as usize, message)
            .map_err(|_| lacks("room where it says"))?;
        let code = self.handle_message.call(&mut self.store, (ptr, len))?;
        if let Some(deallocate) = &self.deallocate {
            deallocate.call(&mut self.store, (ptr, len))?;
        }
        Ok(code)
    }
    /// The oldest message that it sent.
    pub fn take_sent(&mut self) -> Option<Vec<u8>> {
        self.store.data_mut().pop_front()
    }
}

/// Runs a guest that never ends until its epoch does, after that time; gives how long it ran.
///
/// A trap at a loop's head or a function's start is how the runtime ends one; nothing is counted.
pub fn endless(module: &[u8], after: Duration) -> Result<Duration, BareError> {
    let mut config = settings();
    config.epoch_interruption(true);
    let engine = wasmtime::Engine::new(&config)?;
    let module = Module::new(&engine, module)?;
    let mut agent = BareAgent::of(&module)?;
    agent.store.set_epoch_deadline(1);
    let begun = Instant::now();
    let clock = std::thread::spawn(move || {
        // Woken early it looks again: the time is what counts.
        while begun.elapsed() < after {
            std::thread::park_timeout(after.saturating_sub(begun.elapsed()));
        }
        engine.increment_epoch();
    });
    let ended = agent.handle(b"{}");
    let took = begun.elapsed();
    clock
        .join()
        .map_err(|_| BareError::Runtime("its clock panicked".to_owned()))?;
    match ended {
        Ok(_) => Err(BareError::Runtime(
            "a guest without an end ended".to_owned(),
        )),
        Err(_) => Ok(took),
    }
}

/// A clock that stands still, but not at 0: Go's runtime does not start at that hour.
fn clock(mut caller: Caller<'_, ()>, _id: i32, _precision: i64, at: i32) -> wasmtime::Result<i32> {
    let memory = caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory)
        .ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    memory
        .write(
            &mut caller,
            at.cast_unsigned() as usize,
            &1_u64.to_le_bytes(),
        )
        .map_err(|_| wasmtime::Error::msg("a pointer outside memory"))?;
    Ok(0)
}

/// Compiled code in a file, loaded as the runtime's own documentation shows it.
#[derive(Debug)]
pub struct BareLoader {
    engine: wasmtime::Engine,
}

impl BareLoader {
    /// An engine with the runtime's own allocator.
    pub fn new() -> Result<Self, BareError> {
        Ok(Self {
            engine: wasmtime::Engine::new(&settings())?,
        })
    }
    /// Compiles a module into a file.
    pub fn compile(&self, module: &[u8], file: &Path) -> Result<(), BareError> {
        Ok(std::fs::write(
            file,
            self.engine.precompile_module(module)?,
        )?)
    }
    /// Maps the file, instantiates, runs `_initialize` and `agent_init` where they are. Imports
    /// answer 0.
    ///
    /// The file must be what [`Self::compile`] of this process wrote.
    pub fn start(&self, file: &Path) -> Result<(), BareError> {
        let module = raw::map_checked(&self.engine, std::fs::File::open(file)?)?;
        let mut store = Store::new(&self.engine, ());
        let mut linker = Linker::new(&self.engine);
        linker.func_wrap("wasi_snapshot_preview1", "clock_time_get", clock)?;
        linker.define_unknown_imports_as_default_values(&mut store, &module)?;
        let instance = linker.instantiate(&mut store, &module)?;
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
            initialize.call(&mut store, ())?;
        }
        if let Ok(init) = instance.get_typed_func::<(), i32>(&mut store, "agent_init") {
            init.call(&mut store, ())?;
        }
        Ok(())
    }
}

/// A host that answers nothing: for measuring a guest that asks nothing.
#[must_use]
pub fn silent_host() -> Box<dyn crate::HostCalls> {
    Box::new(crate::host::Detached)
}
