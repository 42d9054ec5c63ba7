//! A guest's store: made with its limits and clock, and asked back for what it used.

use caxton_model::Fault;
use wasmtime::{Instance, Memory, Store, StoreContextMut, UpdateDeadline};

use crate::{
    HostCalls, Linked, Usage,
    ctx::{Bounds, Ctx, Stop},
    drive::cpu_fault,
    exports::typed,
    host::Detached,
    host_functions::wall_fault,
    wasi,
};

/// Fuel after which a guest that burns it gives way: about a millisecond.
const FUEL_SLICE: u64 = 2_000_000;
/// The same on the interpreter, which is some forty times slower.
const FUEL_SLICE_PULLEY: u64 = 50_000;

/// Makes a store for one instance.
pub(crate) fn new_store(linked: &Linked, bounds: Bounds, host: Box<dyn HostCalls>) -> Store<Ctx> {
    let inner = &linked.inner;
    let room = inner.engine.options().room.clone();
    let mut ctx = Ctx::new(bounds, inner.engine.touch(), room, host);
    ctx.deterministic = inner.runtime.profile == caxton_model::EngineProfile::Deterministic;
    ctx.has_secure_random = inner.has_secure_random;
    let mut store = Store::new(&inner.runtime.engine, ctx);
    store.limiter(|ctx| ctx);
    if !inner.runtime.profile.has_fuel() {
        store.epoch_deadline_callback(on_tick);
    }
    store
}

/// Every tick: over a limit ends the guest where it is, else somebody else's turn comes.
fn on_tick(mut store: StoreContextMut<'_, Ctx>) -> wasmtime::Result<UpdateDeadline> {
    let ctx = store.data();
    ctx.touch.running();
    let cpu = ctx.meter.cpu_running();
    if cpu > ctx.bounds.cpu_nanos {
        return Err(wasmtime::Error::new(Stop(Box::new(cpu_fault(ctx)))));
    }
    if cpu.saturating_add(ctx.meter.host_wait()) > ctx.bounds.wall_nanos {
        let fault = wall_fault(ctx.bounds.wall_nanos, "and the guest still runs");
        return Err(wasmtime::Error::new(Stop(Box::new(fault))));
    }
    if let Some(mut profiler) = store.data_mut().profiler.take() {
        profiler.sample(&store, std::time::Duration::from_millis(1));
        store.data_mut().profiler = Some(profiler);
    }
    Ok(if store.data().meter.has_just_begun() {
        UpdateDeadline::Continue(1)
    } else {
        UpdateDeadline::Yield(1)
    })
}

/// Prepares the store for one turn or call.
///
/// Errors: fuel that can't be set, which only a wrong profile could cause.
pub(crate) fn begin(store: &mut Store<Ctx>, linked: &Linked) -> Result<(), Fault> {
    store.data_mut().begin_turn();
    if linked.inner.runtime.profile.has_fuel() {
        let fuel = store.data().bounds.fuel;
        store.data_mut().fuel_given = fuel;
        let slice = match linked.inner.engine.options().kind {
            caxton_model::EngineKind::Cranelift => FUEL_SLICE,
            caxton_model::EngineKind::Pulley => FUEL_SLICE_PULLEY,
        };
        let set = store.set_fuel(fuel);
        set.and_then(|()| store.fuel_async_yield_interval(Some(slice)))
            .map_err(|error| Fault::new(caxton_model::ErrorCode::Internal, format!("{error:#}")))?;
    } else {
        store.set_epoch_deadline(1);
    }
    Ok(())
}

/// What the turn used, and the host's side back.
pub(crate) fn end(store: &mut Store<Ctx>) -> (Box<dyn HostCalls>, Usage) {
    wasi::flush(store.data_mut());
    let given = store.data().fuel_given;
    // An engine without fuel would answer with an error, made anew at each turn's end.
    let fuel = match given {
        0 => 0,
        given => given.saturating_sub(store.get_fuel().unwrap_or(0)),
    };
    let ctx = store.data_mut();
    ctx.room.settle();
    let host = std::mem::replace(&mut ctx.host, Box::new(Detached));
    (host, ctx.usage(fuel))
}

/// Runs a future of this store under its limits.
macro_rules! run {
    ($store:expr, $future:expr) => {{
        let ctx = $store.data();
        let (meter, touch, bounds) = (ctx.meter.clone(), ctx.touch.clone(), ctx.bounds);
        let driven = {
            let future = std::pin::pin!($future);
            crate::drive::drive(meter, touch, bounds.cpu_nanos, bounds.wall_nanos, future).await
        };
        crate::drive::settle(driven, $store.data())
    }};
}
pub(crate) use run;

/// Instantiates, notes the memory, and runs a reactor's `_initialize`.
pub(crate) async fn instantiate(
    store: &mut Store<Ctx>,
    linked: &Linked,
) -> wasmtime::Result<(Instance, Option<Memory>)> {
    store.data_mut().starting = true;
    let instance = linked.inner.pre.instantiate_async(&mut *store).await?;
    store.data_mut().starting = false;
    let index = linked.inner.exports.memory.as_ref();
    let memory = index
        .and_then(|index| instance.get_module_export(&mut *store, index))
        .and_then(wasmtime::Extern::into_memory);
    store.data_mut().memory = memory;
    let initialize = linked.inner.exports.initialize.as_ref();
    if let Some(initialize) = typed::<(), ()>(&instance, store, initialize) {
        initialize.call_async(&mut *store, ()).await?;
    }
    Ok((instance, memory))
}
