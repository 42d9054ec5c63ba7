//! The limits that only processors have: no API calls one yet, so they are attacked in this
//! program, on the engine that the node says it runs, and the report says so.

use bytes::Bytes;
use caxton_engine::{Engine, EngineOptions, Linked, Processed, bare};
use caxton_model::{EngineKind, EngineProfile, Kind, LimitName, Limits};

use super::{attack::set_to, guests, row::Found};
use crate::failure::{Exit, Failure};

/// Said before what was reached.
const WHERE: &str = "processors, in this program and not on the node";

/// Attacks a limit of processors.
pub(super) async fn attack(limit: LimitName, engine: EngineKind) -> Result<Found, Failure> {
    // Off this thread, so that the neighbour is asked meanwhile.
    let done = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            match limit {
                LimitName::PayloadBytes => payload_bytes(engine).await,
                _ => concurrent_calls(engine).await,
            }
        })
    });
    done.await.map_err(broken)?
}

fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("{WHERE}: {what}"),
        "report this with the output of `caxton --version`",
    )
}

fn linked(engine: EngineKind, guest: &str) -> Result<Linked, Failure> {
    let engine = Engine::new(EngineOptions {
        kind: engine,
        pool_slots: 4,
        agents_max: 4,
        ..EngineOptions::default()
    })
    .map_err(broken)?;
    let verified =
        caxton_package::verify(guests::module(guest)?, &Limits::unlimited()).map_err(broken)?;
    let compiled = engine
        .compile(&verified, EngineProfile::Hardened, Kind::Processor)
        .map_err(broken)?;
    engine
        .link(&compiled, &caxton_model::Permissions::new())
        .map_err(broken)
}

fn limits(limit: LimitName) -> Limits {
    let mut limits = Limits::for_kind(Kind::Processor);
    limits.set(limit, set_to(limit));
    // Either ends the calls that are let in.
    limits.set(LimitName::Cpu, set_to(LimitName::Cpu));
    limits.set(LimitName::Wall, set_to(LimitName::Wall));
    limits
}

fn code(done: &Processed) -> &'static str {
    match &done.result {
        Ok(_) => "accepted",
        Err(fault) => fault.code.as_str(),
    }
}

async fn call(linked: &Linked, limit: LimitName, input: Bytes) -> Processed {
    linked
        .process(input, None, &limits(limit), bare::silent_host())
        .await
}

/// Too much in, and too much out.
async fn payload_bytes(engine: EngineKind) -> Result<Found, Failure> {
    let limit = LimitName::PayloadBytes;
    let linked = linked(engine, guests::PROCESSOR_LOUD)?;
    let long = usize::try_from(2 * set_to(limit)).unwrap_or(0);
    let into = call(&linked, limit, vec![b'x'; long].into()).await;
    let out = call(&linked, limit, Bytes::from_static(b"x")).await;
    let (into, out) = (code(&into), code(&out));
    let expected = limit.code().as_str();
    Ok(Found::judged(
        into == expected && out == expected,
        format!("{WHERE}: in: {into}; out: {out}"),
    ))
}

/// One call more than allowed, while the others still run: they are endless loops.
async fn concurrent_calls(engine: EngineKind) -> Result<Found, Failure> {
    let limit = LimitName::ConcurrentCalls;
    let linked = linked(engine, guests::PROCESSOR_LOOP)?;
    let one = || call(&linked, limit, Bytes::from_static(b"x"));
    let (a, b, c) = tokio::join!(one(), one(), one());
    let expected = limit.code().as_str();
    let refused = [a, b, c].iter().filter(|d| code(d) == expected).count();
    Ok(Found::judged(
        refused == 1,
        format!("{WHERE}: {refused} of 3 calls at once refused; an agent has one turn at a time"),
    ))
}
