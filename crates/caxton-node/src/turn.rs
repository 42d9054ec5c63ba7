//! One turn as a future: makes the instance if need be, calls the guest, gathers what it wants.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use caxton_engine::{Call, HostCalls, Instance, LogLevel, Returned, Usage};
use caxton_kernel::{RunTurn, TurnEffects, TurnEnd, TurnInput};
use caxton_model::{
    AgentId, AgentSpec, ErrorCode, Fault, GrantedRules, HostCode, Micros, Timestamp,
};

use crate::{
    clock,
    host::TurnHost,
    memory::AgentMemory,
    modules,
    rights::{EffectiveRights, Holder},
    shared::{ShardShared, Shared},
    tables::TurnRows,
};

/// From when on a timer's lateness is said: a busy shard's rounds take far less.
const TIMER_LATE: Micros = Micros::secs(1);

/// What a turn needs.
pub(crate) struct Job {
    pub(crate) shared: ShardShared,
    pub(crate) run: RunTurn,
    pub(crate) spec: Arc<AgentSpec>,
    pub(crate) memory: Arc<Mutex<AgentMemory>>,
    pub(crate) instance: Option<Instance>,
    /// Whether the store may hold keys that are not in memory.
    pub(crate) stored: bool,
    /// Bytes and keys of the agent's state before the turn.
    pub(crate) state_size: (u64, u64),
}

/// How a turn ended.
pub(crate) struct TurnDone {
    pub(crate) end: Box<TurnEnd>,
    pub(crate) instance: Option<Instance>,
    /// What it wrote to shared tables: holds the room for it until it is dropped.
    pub(crate) rows: Option<TurnRows>,
}

/// A guest between two calls of the same turn.
struct Guest {
    instance: Option<Instance>,
    /// Gone only while the engine has it.
    host: Option<Box<dyn HostCalls>>,
    usage: Usage,
    /// Whether it ended itself.
    ended: bool,
}

/// Runs a turn to its end.
///
/// Cancel: dropping it drops the instance and all effects; nothing was done.
pub(crate) async fn run(job: Job) -> TurnDone {
    let Job {
        shared,
        run,
        spec,
        memory,
        instance,
        stored,
        state_size,
    } = job;
    let RunTurn {
        agent,
        turn,
        input,
        ctx,
    } = run;
    let is_init = matches!(input, TurnInput::Init(_));
    let granted = ctx.granted().filter(|_| is_init).cloned();
    let host: Box<dyn HostCalls> = Box::new(TurnHost::new(
        Arc::clone(&shared),
        Arc::clone(&spec),
        ctx,
        memory,
        stored,
        state_size,
    ));
    let mut guest = Guest {
        instance,
        host: Some(host),
        usage: Usage::default(),
        ended: false,
    };
    let mut result = match input {
        // Boxed, as what follows a fault: rare, and large in every turn's future if it were not.
        TurnInput::Init(_) => Box::pin(init(&shared, &spec, granted, &mut guest)).await,
        TurnInput::Message(mail) => {
            let json = Bytes::from_owner(mail.message);
            call(&mut guest, Call::Message(json)).await.map(code)
        }
        TurnInput::Timer { id, due } => {
            say_how_late(&mut guest, id, due);
            call(&mut guest, Call::Timer(id)).await.map(code)
        }
        TurnInput::Migrate { from } => call(&mut guest, Call::Migrate(from)).await.map(code),
        TurnInput::Shutdown => call(&mut guest, Call::Shutdown).await.map(code),
    };
    if let Err(fault) = &mut result {
        shared.meters.fault(agent, fault, clock::now());
        Box::pin(explain(&shared, &spec, fault)).await;
    }
    if guest.instance.is_none() {
        guest.usage.memory_bytes = 0;
    }
    shared.meters.turn(agent, &guest.usage);
    done(agent, turn, result, guest)
}

/// What the turn wants done, and what is kept for the next one.
fn done(agent: AgentId, turn: u64, result: Result<i32, Fault>, guest: Guest) -> TurnDone {
    let host = guest
        .host
        .and_then(|host| host.as_any().downcast::<TurnHost>().ok());
    let (effects, rows) = host.map_or_else(|| (TurnEffects::default(), None), |host| host.finish());
    let end = Box::new(TurnEnd {
        agent,
        turn,
        result,
        effects,
        cpu_micros: guest.usage.cpu_nanos / 1_000,
        instance_kept: guest.instance.is_some(),
        ended: guest.ended,
    });
    TurnDone {
        end,
        instance: guest.instance,
        rows,
    }
}

/// A timer that fell due while the node was down, or the agent stopped, fires at once: its log says
/// how late.
fn say_how_late(guest: &mut Guest, id: i32, due: Timestamp) {
    let late = clock::now().since(due);
    if let Some(host) = guest.host.as_mut().filter(|_| late >= TIMER_LATE) {
        let late = Micros(late.0 / 1_000 * 1_000);
        let due = clock::shown(due);
        let text = format!("timer {id} was due at {due} and fires {late} late");
        host.log(LogLevel::Warn, &text);
    }
}

fn code(value: Returned) -> i32 {
    match value {
        Returned::Code(code) => code,
        Returned::Capabilities(_) | Returned::Ended => 0,
    }
}

/// Makes an instance, runs its init, and asks for its capabilities if that was good.
async fn init(
    shared: &Arc<Shared>,
    spec: &Arc<AgentSpec>,
    granted: Option<GrantedRules>,
    guest: &mut Guest,
) -> Result<i32, Fault> {
    guest.instance = None;
    let effective =
        EffectiveRights::new(shared, Holder::from(&**spec), &granted.unwrap_or_default());
    let linked = modules::linked(shared, spec, &effective).await?;
    let began = Instant::now();
    let host = guest.host.take().ok_or_else(no_guest)?;
    let made = linked.instantiate(&spec.limits, host).await;
    guest.host = Some(made.host);
    guest.usage = made.usage;
    metrics::histogram!("caxton_instantiate_seconds").record(began.elapsed().as_secs_f64());
    guest.instance = Some(made.result?);
    let returned = code(call(guest, Call::Init).await?);
    if returned != 0 {
        return Ok(returned);
    }
    if let Returned::Capabilities(Some(json)) = call(guest, Call::Capabilities).await?
        && let Some(host) = &mut guest.host
        && let Err(refused) = host.register_capabilities(&json)
    {
        let why = match refused {
            HostCode::QuotaReached | HostCode::TooLarge => {
                "each list has at most 64 entries of 256 bytes, and the whole at most 64 KiB"
            }
            _ => "it is not the JSON of a descriptor",
        };
        host.log(
            LogLevel::Warn,
            &format!(
                "`get_capabilities` returned a descriptor that was refused with code {}: {why}",
                refused.as_i32()
            ),
        );
    }
    Ok(0)
}

fn no_guest() -> Fault {
    Fault::new(ErrorCode::Internal, "a turn was begun without an instance")
}

async fn call(guest: &mut Guest, call: Call) -> Result<Returned, Fault> {
    let instance = guest.instance.take().ok_or_else(no_guest)?;
    let host = guest.host.take().ok_or_else(no_guest)?;
    let done = instance.call(call, host).await;
    guest.host = Some(done.host);
    guest.instance = done.instance;
    guest.usage = sum(&guest.usage, &done.usage);
    guest.ended = matches!(done.result, Ok(Returned::Ended));
    done.result
}

/// Adds what a further call of the same turn used.
fn sum(before: &Usage, call: &Usage) -> Usage {
    Usage {
        cpu_nanos: before.cpu_nanos + call.cpu_nanos,
        host_wait_nanos: before.host_wait_nanos + call.host_wait_nanos,
        host_calls: before.host_calls + call.host_calls,
        allocations: before.allocations + call.allocations,
        memory_peak_bytes: before.memory_peak_bytes.max(call.memory_peak_bytes),
        ..*call
    }
}

/// Gives a fault's frames their names and lines, away from the shard.
async fn explain(shared: &Arc<Shared>, spec: &Arc<AgentSpec>, fault: &mut Fault) {
    if fault.backtrace.is_empty() {
        return;
    }
    let (inner, spec, mut raw) = (Arc::clone(shared), Arc::clone(spec), fault.clone());
    let explained = shared
        .clone()
        .blocking(move || {
            modules::symbolise(&inner, spec.module, spec.profile, &mut raw);
            raw
        })
        .await;
    if let Some(explained) = explained {
        *fault = explained;
    }
}
