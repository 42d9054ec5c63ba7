//! A live agent: one instance, called one turn at a time.

use bytes::Bytes;
use caxton_model::{ErrorCode, Fault, Limits};
use wasmtime::{GuestProfiler, Memory, Store, TypedFunc};

use crate::{
    HostCalls, Linked, Usage,
    config::MemoryForm,
    ctx::{Bounds, Ctx, Stop},
    exports::{AllocatorFunctions, ExportIndexes, typed},
    guest_bytes,
    packed::Packed,
    raw,
    store::{self, run},
    wasi::Exit,
};

/// The buffer for a capability descriptor; a larger one is asked for again. Unit: bytes.
const CAPABILITIES_BYTES: usize = 64 << 10;

/// A turn that recursed deeply took longer than this, for its stack's pages alone: each costs at
/// least 250 ns at first touch, so that a stack below it keeps at most 256 KiB.
const DEEP_TURN_NANOS: u64 = 16_000;

/// A turn's call into an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `agent_init()`, first in every new instance.
    Init,
    /// `handle_message(ptr, len)` with the message's JSON.
    Message(Bytes),
    /// `handle_timer(id)`.
    Timer(i32),
    /// `agent_shutdown()`.
    Shutdown,
    /// `get_capabilities(buf, len)`, once after a good init.
    Capabilities,
    /// `migrate(ptr, len)` with the version that it comes from.
    Migrate(String),
}

impl Call {
    fn input(&self) -> &[u8] {
        match self {
            Self::Message(json) => json,
            Self::Migrate(from) => from.as_bytes(),
            _ => &[],
        }
    }
}

/// What a call gave back. An export that is not there gives code 0, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// The guest's own number; 0 is success.
    Code(i32),
    /// The descriptor's JSON; `None`: the agent has none.
    Capabilities(Option<Vec<u8>>),
    /// Nothing: it ended itself, by its own exit with code 0, while it worked on a message or timer
    /// or said farewell.
    Ended,
}

/// How a call went.
pub struct CallDone {
    /// What the guest returned, or why it did not.
    pub result: Result<Returned, Fault>,
    /// The host's side, as it was handed in.
    pub host: Box<dyn HostCalls>,
    /// The instance, for the next turn; `None` after any fault and after the guest's own end: its
    /// store is thrown away.
    pub instance: Option<Instance>,
    /// What the turn used.
    pub usage: Usage,
}

/// How an instantiation went.
pub struct Started {
    /// The instance, or why there is none.
    pub result: Result<Instance, Fault>,
    /// The host's side, as it was handed in.
    pub host: Box<dyn HostCalls>,
    /// What it used.
    pub usage: Usage,
}

/// A live agent's instance. May move between threads, between turns.
pub struct Instance {
    linked: Linked,
    store: Store<Ctx>,
    /// Boxed: an instance moves into each call and out of it.
    guest: Box<Guest>,
    /// Whether its stack is without a guard, until the next call.
    parked: bool,
}

/// The functions of one agent.
struct Guest {
    memory: Memory,
    /// What was in its memory, until the next call.
    packed: Option<Packed>,
    allocator: AllocatorFunctions,
    handle_message: TypedFunc<(i32, i32), i32>,
    agent_init: Option<TypedFunc<(), i32>>,
    handle_timer: Option<TypedFunc<i32, i32>>,
    agent_shutdown: Option<TypedFunc<(), ()>>,
    agent_shutdown_code: Option<TypedFunc<(), i32>>,
    get_capabilities: Option<TypedFunc<(i32, i32), i32>>,
    migrate: Option<TypedFunc<(i32, i32), i32>>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("linked", &self.linked)
            .finish_non_exhaustive()
    }
}

impl Linked {
    /// Makes a live agent: instantiates, runs the start function and `_initialize`, under the
    /// limits of a turn. `agent_init` is a call of its own: [`Call::Init`].
    ///
    /// Cancel: dropping the future ends the guest and loses `host`.
    /// Cost: tens of microseconds, and a stack and a memory out of the slabs.
    pub async fn instantiate(&self, limits: &Limits, host: Box<dyn HostCalls>) -> Started {
        let mut store = store::new_store(self, Bounds::of(limits), host);
        let result = self.start(&mut store).await;
        let (host, usage) = store::end(&mut store);
        let linked = self.clone();
        Started {
            result: result.map(|guest| Instance {
                linked,
                store,
                guest: Box::new(guest),
                parked: false,
            }),
            host,
            usage,
        }
    }
    async fn start(&self, store: &mut Store<Ctx>) -> Result<Guest, Fault> {
        store::begin(store, self)?;
        run!(store, async {
            let (instance, memory) = store::instantiate(store, self).await?;
            let missing = || Stop::new(ErrorCode::UnsupportedModule, "this is no agent");
            let at: &ExportIndexes = &self.inner.exports;
            let convention = self.inner.report.allocator.ok_or_else(missing)?;
            let allocator = AllocatorFunctions::of(convention, &instance, store, at);
            Ok(Guest {
                memory: memory.ok_or_else(missing)?,
                packed: None,
                allocator: allocator.ok_or_else(missing)?,
                handle_message: typed(&instance, store, at.handle_message.as_ref())
                    .ok_or_else(missing)?,
                agent_init: typed(&instance, store, at.agent_init.as_ref()),
                handle_timer: typed(&instance, store, at.handle_timer.as_ref()),
                agent_shutdown: typed(&instance, store, at.agent_shutdown.as_ref()),
                agent_shutdown_code: typed(&instance, store, at.agent_shutdown.as_ref()),
                get_capabilities: typed(&instance, store, at.get_capabilities.as_ref()),
                migrate: typed(&instance, store, at.migrate.as_ref()),
            })
        })
    }
}

impl Instance {
    /// One turn.
    ///
    /// The future is polled by the shard from its own run queue; it needs a tokio runtime's handle
    /// entered (for sleeps and deadlines), not one that runs on this thread. It gives way at each
    /// tick by waking itself. Cancel: dropping it ends the guest and loses instance and `host`.
    pub async fn call(mut self, call: Call, host: Box<dyn HostCalls>) -> CallDone {
        self.store.data_mut().host = host;
        let result = self.turn(&call).await;
        let (host, usage) = store::end(&mut self.store);
        if usage.cpu_nanos > DEEP_TURN_NANOS
            && let Some(stack) = self.slab_stack()
        {
            raw::trim_stack(stack);
        }
        let goes_on = matches!(result, Ok(Returned::Code(_) | Returned::Capabilities(_)));
        let instance = goes_on.then_some(self);
        CallDone {
            result,
            host,
            instance,
            usage,
        }
    }
    async fn turn(&mut self, call: &Call) -> Result<Returned, Fault> {
        store::begin(&mut self.store, &self.linked)?;
        self.unpark()?;
        let (store, guest) = (&mut self.store, &mut self.guest);
        run!(store, async {
            match guest.call(store, call).await {
                Err(error) if is_own_end(call, &error, store.data()) => Ok(Returned::Ended),
                other => other,
            }
        })
    }
    /// Gives back the memory of an idle agent's stack. Cost: about 3 µs, and 2 µs at the next turn.
    pub fn trim(&mut self) {
        if let Some(stack) = self.slab_stack().filter(|_| !self.parked) {
            self.parked = raw::park_stack(stack);
        }
    }
    /// Compresses the memory of an agent that is idle for long, if it is small and that helps.
    ///
    /// Bounds: memories of 2 MiB, of which 256 KiB were touched. Cost: 10 to 200 µs now, and as
    /// much at the next turn.
    pub fn pack(&mut self) {
        if self.is_in_slab() && self.guest.packed.is_none() {
            let memory = self.guest.memory.data_mut(&mut self.store);
            self.guest.packed = Packed::pack(memory, &self.linked.inner.engine.inner.packed_bytes);
        }
    }
    /// Whether its memory is packed.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.guest.packed.is_some()
    }
    /// Gives it back what idle agents have given away.
    fn unpark(&mut self) -> Result<(), Fault> {
        if let Some(packed) = self.guest.packed.take() {
            self.store.data_mut().room.retake(packed.plain_bytes());
            if !packed.unpack(self.guest.memory.data_mut(&mut self.store)) {
                let text = "the guest's memory can't be unpacked";
                return Err(Fault::new(ErrorCode::Internal, text));
            }
        }
        if let Some(stack) = self.slab_stack().filter(|_| self.parked) {
            if !raw::guard_again(stack) {
                let text = "the machine has no memory for the guard of the guest's stack";
                return Err(Fault::new(ErrorCode::Internal, text));
            }
            self.parked = false;
        }
        Ok(())
    }
    /// Where its stack is, if that is out of the slab.
    fn slab_stack(&self) -> Option<usize> {
        let stack = self.store.data().meter.stack();
        stack.filter(|_| self.is_in_slab())
    }
    fn is_in_slab(&self) -> bool {
        self.linked.inner.runtime.form == MemoryForm::Agents
    }
    /// What the limits are from the next turn on.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.store.data_mut().bounds = Bounds::of(limits);
    }
    /// Sum of all its linear memories. Unit: bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.store.data().held.memory_bytes
    }
    /// What of its stack is in memory, outside its limit on memory. Unit: bytes.
    #[must_use]
    pub fn stack_resident_bytes(&self) -> u64 {
        self.store
            .data()
            .meter
            .stack()
            .map_or(0, raw::stack_resident_bytes)
    }
    /// What it was made from.
    #[must_use]
    pub fn linked(&self) -> &Linked {
        &self.linked
    }
    /// Starts to sample the guest's stack at every tick (profiles without fuel only).
    ///
    /// Errors: what the runtime says. Cost: some microseconds a tick.
    pub fn start_profile(&mut self, name: &str) -> Result<(), String> {
        let module = self.linked.inner.pre.module().clone();
        let engine = self.store.engine().clone();
        let interval = std::time::Duration::from_millis(1);
        let profiler = GuestProfiler::new(&engine, name, interval, [(name.to_owned(), module)]);
        let profiler = profiler.map_err(|error| format!("{error:#}"))?;
        self.store.data_mut().profiler = Some(Box::new(profiler));
        Ok(())
    }
    /// Ends the sampling; the profile as JSON for the Firefox profiler.
    pub fn finish_profile(&mut self) -> Option<Vec<u8>> {
        let profiler = self.store.data_mut().profiler.take()?;
        let mut json = Vec::new();
        profiler.finish(&mut json).ok()?;
        Some(json)
    }
}

/// Whether a guest at work ended itself. An exit after a refused growth is the memory's fault, and
/// one in an init ends what has not begun.
fn is_own_end(call: &Call, error: &wasmtime::Error, ctx: &Ctx) -> bool {
    matches!(call, Call::Message(_) | Call::Timer(_) | Call::Shutdown)
        && error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == 0)
        && ctx.refused_fault().is_none()
}

impl Guest {
    async fn call(&mut self, store: &mut Store<Ctx>, call: &Call) -> wasmtime::Result<Returned> {
        let code = match call {
            Call::Init => match &self.agent_init {
                Some(f) => f.call_async(&mut *store, ()).await?,
                None => 0,
            },
            Call::Message(_) => {
                let function = &self.handle_message;
                with_bytes(
                    store,
                    self.memory,
                    &mut self.allocator,
                    call.input(),
                    function,
                )
                .await?
            }
            Call::Timer(id) => match &self.handle_timer {
                Some(f) => f.call_async(&mut *store, *id).await?,
                None => 0,
            },
            Call::Shutdown => match (&self.agent_shutdown, &self.agent_shutdown_code) {
                (Some(f), _) => f.call_async(&mut *store, ()).await.map(|()| 0)?,
                (None, Some(f)) => f.call_async(&mut *store, ()).await?,
                (None, None) => 0,
            },
            Call::Migrate(_) => match &self.migrate {
                Some(f) => {
                    with_bytes(store, self.memory, &mut self.allocator, call.input(), f).await?
                }
                None => 0,
            },
            Call::Capabilities => return self.capabilities(store).await,
        };
        Ok(Returned::Code(code))
    }
    /// Asks with 64 KiB, and once more with what the guest says it needs.
    async fn capabilities(&mut self, store: &mut Store<Ctx>) -> wasmtime::Result<Returned> {
        let Some(function) = &self.get_capabilities else {
            return Ok(Returned::Capabilities(None));
        };
        let most = store
            .data()
            .bounds
            .message_bytes
            .max(CAPABILITIES_BYTES as u64);
        let mut len = CAPABILITIES_BYTES;
        loop {
            let ptr = guest_bytes::allocate(store, self.memory, &mut self.allocator, len).await?;
            let asked = u32::try_from(len).unwrap_or(u32::MAX).cast_signed();
            let written = function.call_async(&mut *store, (ptr, asked)).await?;
            let Ok(wanted) = usize::try_from(written) else {
                guest_bytes::free(store, &self.allocator, ptr, len).await?;
                return Ok(Returned::Capabilities(None));
            };
            if wanted <= len {
                let json = guest_bytes::read(store, self.memory, ptr, written)?;
                guest_bytes::free(store, &self.allocator, ptr, len).await?;
                return Ok(Returned::Capabilities(Some(json)));
            }
            guest_bytes::free(store, &self.allocator, ptr, len).await?;
            if wanted as u64 > most || len > CAPABILITIES_BYTES {
                let text = format!(
                    "get_capabilities returned {written} for a buffer of {len} bytes; return the bytes written, at most {most}"
                );
                return Err(Stop::new(ErrorCode::BadReturn, text).into());
            }
            len = wanted;
        }
    }
}

/// Calls a function with bytes that are put into the guest for as long as it runs.
async fn with_bytes(
    store: &mut Store<Ctx>,
    memory: Memory,
    allocator: &mut AllocatorFunctions,
    bytes: &[u8],
    function: &TypedFunc<(i32, i32), i32>,
) -> wasmtime::Result<i32> {
    let ptr = guest_bytes::put(store, memory, allocator, bytes).await?;
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).cast_signed();
    let code = function.call_async(&mut *store, (ptr, len)).await?;
    guest_bytes::free(store, allocator, ptr, bytes.len()).await?;
    Ok(code)
}
