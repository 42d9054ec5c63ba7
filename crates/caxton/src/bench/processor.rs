//! A fresh instance and one call, and a call of an instance that is there, against the pooled runtime
//! alone and against Extism.

use std::time::{Duration, Instant};

use bytes::Bytes;
use caxton_engine::{Call, Engine, EngineOptions, Instance, Linked, bare};
use caxton_model::{EngineProfile, Kind, Limits};

use super::{
    Plan, guests,
    peers::Peers,
    row::{Row, Target, Unit, failed},
};
use crate::failure::Failure;

const HELLO_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/hello-rust.wasm");

/// Calls of one side before it is the other's turn.
const BLOCK: usize = 50;

/// What is processed.
const INPUT: [u8; 64] = [b'7'; 64];

/// Fresh instances of a guest that does nothing and of one with a language's runtime; then one that
/// is used again and again.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let engine = Engine::new(EngineOptions {
        agents_max: 16,
        ..EngineOptions::default()
    })
    .map_err(failed)?;
    let mut peers = plan.peers.as_deref().map(Peers::start).transpose()?;
    let mut rows = fresh(
        plan,
        &engine,
        "smallest guest",
        &guests::processor()?,
        &mut peers,
    )
    .await?;
    rows.extend(fresh(plan, &engine, "Rust guest", HELLO_RUST, &mut None).await?);
    rows.extend(reused(plan, &engine, &mut peers).await?);
    Ok(rows)
}

/// Links a module for calls without a node.
pub(super) fn link(engine: &Engine, module: &[u8], kind: Kind) -> Result<Linked, Failure> {
    let verified = caxton_package::verify(module, &Limits::unlimited()).map_err(failed)?;
    let compiled = engine
        .compile(&verified, EngineProfile::Hardened, kind)
        .map_err(failed)?;
    engine
        .link(&compiled, &caxton_model::Permissions::new())
        .map_err(failed)
}

/// Makes an agent without a node.
pub(super) async fn instance(linked: &Linked, limits: &Limits) -> Result<Instance, Failure> {
    let started = linked.instantiate(limits, bare::silent_host()).await;
    let instance = started.result.map_err(failed)?;
    let done = instance.call(Call::Init, started.host).await;
    done.result.map_err(failed)?;
    done.instance.ok_or_else(|| failed("an instance ended"))
}

async fn fresh(
    plan: &Plan,
    engine: &Engine,
    guest: &str,
    module: &[u8],
    peers: &mut Option<Peers>,
) -> Result<Vec<Row>, Failure> {
    let linked = link(engine, module, Kind::Processor)?;
    let limits = Limits::for_kind(Kind::Processor);
    let bare = bare::BareProcessor::new(module).map_err(failed)?;
    let mut seen = Seen::default();
    for block in 0..plan.pick(10, 400) {
        let mut of_ours = Vec::with_capacity(BLOCK);
        call(&linked, &limits, &mut of_ours).await?;
        let of_bare = timed(|| bare.call(&INPUT).map(drop).map_err(failed))?;
        seen.block(block, of_ours, of_bare, peers, "extism-fresh")?;
    }
    let what = format!("processor, {guest}: fresh instance + 64 B call");
    Ok(seen.rows(
        what,
        "wasmtime, pooled, sync",
        Target::RatioAtMost(1.3),
        6.0,
    ))
}

async fn call(linked: &Linked, limits: &Limits, times: &mut Vec<Duration>) -> Result<(), Failure> {
    let mut host = bare::silent_host();
    for _ in 0..BLOCK {
        let payload = Bytes::copy_from_slice(&INPUT);
        let begun = Instant::now();
        let done = linked.process(payload, None, limits, host).await;
        times.push(begun.elapsed());
        done.result.map_err(failed)?;
        host = done.host;
    }
    Ok(())
}

/// A live agent's instance, which copies what it is given and hands it to its host.
async fn reused(
    plan: &Plan,
    engine: &Engine,
    peers: &mut Option<Peers>,
) -> Result<Vec<Row>, Failure> {
    let module = guests::replier()?;
    let linked = link(engine, &module, Kind::Agent)?;
    let mut live = instance(&linked, &Limits::for_kind(Kind::Agent)).await?;
    let mut bare = bare::BareAgent::new(&module).map_err(failed)?;
    let (mut host, mut seen) = (bare::silent_host(), Seen::default());
    for block in 0..plan.pick(10, 400) {
        let mut of_ours = Vec::with_capacity(BLOCK);
        for _ in 0..BLOCK {
            let message = Call::Message(Bytes::copy_from_slice(&INPUT));
            let begun = Instant::now();
            let done = live.call(message, host).await;
            of_ours.push(begun.elapsed());
            done.result.map_err(failed)?;
            live = done.instance.ok_or_else(|| failed("an instance ended"))?;
            host = done.host;
        }
        let of_bare = timed(|| {
            bare.handle(&INPUT).map_err(failed)?;
            bare.take_sent();
            Ok(())
        })?;
        seen.block(block, of_ours, of_bare, peers, "extism-reused")?;
    }
    let what = "live instance: 64 B call".to_owned();
    let bare_part = "wasmtime: allocate, copy, call, free, copy out";
    Ok(seen.rows(what, bare_part, Target::Under(1.0), 10.0))
}

fn timed(mut work: impl FnMut() -> Result<(), Failure>) -> Result<Vec<Duration>, Failure> {
    (0..BLOCK)
        .map(|_| {
            let begun = Instant::now();
            work()?;
            Ok(begun.elapsed())
        })
        .collect()
}

/// Times of ours, of the bare part, and of Extism where it is there.
#[derive(Default)]
struct Seen {
    ours: Vec<Duration>,
    bare: Vec<Duration>,
    extism: Vec<Duration>,
}

impl Seen {
    fn block(
        &mut self,
        block: usize,
        ours: Vec<Duration>,
        bare: Vec<Duration>,
        peers: &mut Option<Peers>,
        order: &str,
    ) -> Result<(), Failure> {
        let extism = peers.as_mut().map(|peers| peers.times(order, BLOCK));
        let extism = extism.transpose()?.unwrap_or_default();
        // The first of each makes the pool's pages.
        if block > 0 {
            self.ours.extend(ours);
            self.bare.extend(bare);
            self.extism.extend(extism);
        }
        Ok(())
    }
    fn rows(self, what: String, bare_part: &'static str, target: Target, faster: f64) -> Vec<Row> {
        let unit = Unit::Micros;
        let row = Row::times(what, unit, self.ours.clone(), bare_part, self.bare);
        let mut rows = vec![row.must(target)];
        if !self.extism.is_empty() {
            let part = "Extism 1.30, a guest that copies nothing";
            let beside = Row::times(
                "  the same against Extism",
                unit,
                self.ours,
                part,
                self.extism,
            );
            rows.push(beside.must(Target::TimesFaster(faster)));
        }
        rows
    }
}
