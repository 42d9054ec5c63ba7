//! Starting: a module out of the cache, and a node.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use caxton_engine::{Call, Engine, EngineOptions, bare};
use caxton_model::{Durability, EngineProfile, Grants, Kind, Limits, UNLIMITED};

use super::{
    Plan, guests,
    node::{agent, deploy, folder, start},
    row::{Row, Unit, failed},
};
use crate::{failure::Failure, serving};

const SAMPLE_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/sample-agent-rust.wasm");
const SAMPLE_GO: &[u8] = include_bytes!("../../../../guests/prebuilt/sample-agent-go.wasm");

/// Deploys under way at the same time.
const DEPLOYS: usize = 64;

/// Compiling and cached starts of committed guests.
pub(super) async fn cached(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = of_module(plan, "Rust, 0.2 MB", SAMPLE_RUST).await?;
    if !plan.quick {
        rows.extend(of_module(plan, "Go, 1.9 MB", SAMPLE_GO).await?);
    }
    Ok(rows)
}

async fn of_module(plan: &Plan, name: &str, module: &[u8]) -> Result<Vec<Row>, Failure> {
    let folder = folder(&plan.dir)?;
    let engine = Engine::new(EngineOptions {
        cache_dir: Some(folder.path().join("cache")),
        compile_worker: serving::compile_worker(),
        agents_max: 16,
        ..EngineOptions::default()
    })
    .map_err(failed)?;
    let loader = bare::BareLoader::new().map_err(failed)?;
    let file = folder.path().join("bare");
    let verified = caxton_package::verify(module, UNLIMITED).map_err(failed)?;
    let compile = || engine.compile(&verified, EngineProfile::Hardened, Kind::Agent);
    let (mut cold, mut bare_cold) = (Vec::new(), Vec::new());
    for _ in 0..plan.pick(1, 5) {
        engine.cache().map(caxton_engine::Cache::clear);
        let begun = Instant::now();
        compile().map_err(failed)?;
        cold.push(begun.elapsed());
        let begun = Instant::now();
        loader.compile(module, &file).map_err(failed)?;
        bare_cold.push(begun.elapsed());
    }
    let limits = Limits::for_kind(Kind::Agent);
    let (mut warm, mut bare_warm) = (Vec::new(), Vec::new());
    for _ in 0..plan.pick(20, 300) {
        let begun = Instant::now();
        let compiled = compile().map_err(failed)?;
        let linked = engine.link(&compiled, &Grants::default()).map_err(failed)?;
        let started = linked.instantiate(&limits, bare::silent_host()).await;
        let instance = started.result.map_err(failed)?;
        let done = instance.call(Call::Init, started.host).await;
        warm.push(begun.elapsed());
        done.result.map_err(failed)?;
        if !compiled.from_cache() {
            return Err(failed("a module that was just cached was compiled again"));
        }
        drop(done.instance);
        let begun = Instant::now();
        loader.start(&file).map_err(failed)?;
        bare_warm.push(begun.elapsed());
    }
    folder.close()?;
    Ok(vec![
        Row::times(
            format!("compile, {name}: a process of its own, limits, cache"),
            Unit::Millis,
            cold,
            "wasmtime in process, into a file",
            bare_cold,
        ),
        Row::times(
            format!("cached start, {name}: load, check, link, instantiate, init"),
            Unit::Micros,
            warm,
            "wasmtime: map the file, link, instantiate, init",
            bare_warm,
        ),
    ])
}

/// An empty node, and one with many agents.
pub(super) async fn node(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let agents = plan.pick(1_000, 10_000);
    Ok(vec![of_node(plan, 0).await?, of_node(plan, agents).await?])
}

async fn of_node(plan: &Plan, agents: usize) -> Result<Row, Failure> {
    let folder = folder(&plan.dir)?;
    let data = folder.path().join("node");
    let first = start(Some(data.clone()), shards()).await?;
    let module = guests::replier()?;
    let mut deploys = tokio::task::JoinSet::new();
    for number in 0..agents {
        if deploys.len() >= DEPLOYS
            && let Some(done) = deploys.join_next().await
        {
            done.map_err(failed)??;
        }
        let (node, agent) = (
            first.clone(),
            agent(&format!("agent-{number}"), &module, Durability::Durable)?,
        );
        deploys.spawn(async move { deploy(&node, agent).await });
    }
    while let Some(done) = deploys.join_next().await {
        done.map_err(failed)??;
    }
    first.shutdown(Duration::from_secs(30)).await;
    drop(first);
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..plan.pick(2, 7) {
        let begun = Instant::now();
        let node = start(Some(data.clone()), shards()).await?;
        let health = node.health();
        ours.push(begun.elapsed());
        node.shutdown(Duration::from_secs(30)).await;
        if !health.ready || health.agents != agents {
            return Err(failed(format!(
                "{} of {agents} agents came back",
                health.agents
            )));
        }
        drop(node);
        let begun = Instant::now();
        bare::BareLoader::new().map_err(failed)?;
        read_all(&data)?;
        beside.push(begun.elapsed());
    }
    folder.close()?;
    let what = match agents {
        0 => "node, empty: start to ready".to_owned(),
        _ => format!("node with {agents} durable agents: start to ready"),
    };
    let bare_part = "a bare engine, and reading all files of the directory";
    Ok(Row::times(what, Unit::Millis, ours, bare_part, beside))
}

fn shards() -> u16 {
    caxton_node::NodeOptions::default().shards
}

/// Reads every file once.
fn read_all(dir: &Path) -> Result<(), Failure> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            read_all(&entry.path())?;
        } else {
            std::hint::black_box(std::fs::read(entry.path())?);
        }
    }
    Ok(())
}
