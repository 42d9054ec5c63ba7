//! A fresh instance and one call, against the pooled runtime alone.

use std::time::{Duration, Instant};

use caxton_engine::{Engine, EngineOptions, Linked, bare};
use caxton_model::{EngineProfile, Grants, Kind, Limits, UNLIMITED};

use super::{
    Plan, guests,
    row::{Row, Unit, failed},
};
use crate::failure::Failure;

const HELLO_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/hello-rust.wasm");

/// Calls of one side before it is the other's turn.
const BLOCK: usize = 50;

/// Both rows: a guest that does nothing, and one of a language with a runtime.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let engine = Engine::new(EngineOptions {
        agents_max: 16,
        ..EngineOptions::default()
    })
    .map_err(failed)?;
    let tiny = row(plan, &engine, "smallest guest", &guests::processor()?).await?;
    let rust = row(plan, &engine, "Rust guest", HELLO_RUST).await?;
    Ok(vec![tiny, rust])
}

async fn row(plan: &Plan, engine: &Engine, guest: &str, module: &[u8]) -> Result<Row, Failure> {
    let verified = caxton_package::verify(module, UNLIMITED).map_err(failed)?;
    let compiled = engine
        .compile(&verified, EngineProfile::Hardened, Kind::Processor)
        .map_err(failed)?;
    let linked = engine.link(&compiled, &Grants::default()).map_err(failed)?;
    let limits = Limits::for_kind(Kind::Processor);
    let bare = bare::BareProcessor::new(module).map_err(failed)?;
    let input = [b'7'; 64];
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for block in 0..plan.pick(10, 400) {
        let mut of_ours = Vec::with_capacity(BLOCK);
        call(&linked, &limits, &input, &mut of_ours).await?;
        let mut of_bare = Vec::with_capacity(BLOCK);
        for _ in 0..BLOCK {
            let begun = Instant::now();
            std::hint::black_box(bare.call(&input).map_err(failed)?);
            of_bare.push(begun.elapsed());
        }
        // The first of each makes the pool's pages.
        if block > 0 {
            ours.extend(of_ours);
            beside.extend(of_bare);
        }
    }
    Ok(Row::times(
        format!("processor, {guest}: fresh instance + 64 B call"),
        Unit::Micros,
        ours,
        "wasmtime, pooled, sync",
        beside,
    ))
}

async fn call(
    linked: &Linked,
    limits: &Limits,
    input: &[u8],
    times: &mut Vec<Duration>,
) -> Result<(), Failure> {
    let mut host = bare::silent_host();
    for _ in 0..BLOCK {
        let payload = bytes::Bytes::copy_from_slice(input);
        let begun = Instant::now();
        let done = linked.process(payload, None, limits, host).await;
        times.push(begun.elapsed());
        done.result.map_err(failed)?;
        host = done.host;
    }
    Ok(())
}
