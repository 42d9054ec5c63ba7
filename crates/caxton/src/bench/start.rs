//! Starting: a module out of the cache, and a node.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use caxton_engine::{Compiled, Engine, EngineOptions, bare};
use caxton_model::{Durability, EngineProfile, Kind, Limits};

use super::{
    Plan, guests,
    node::{agent, deploy, folder, start},
    processor::instance,
    row::{Row, Target, Unit, failed},
};
use crate::{failure::Failure, serving};

const SAMPLE_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/sample-agent-rust.wasm");
const HELLO_C: &[u8] = include_bytes!("../../../../guests/prebuilt/hello-c.wasm");
const MEDIUM: &[u8] = include_bytes!("../../../../guests/prebuilt/bench-medium-rust.wasm");
const LARGE: &[u8] = include_bytes!("../../../../guests/prebuilt/bench-large-rust.wasm");
const SAMPLE_GO: &[u8] = include_bytes!("../../../../guests/prebuilt/sample-agent-go.wasm");

/// Deploys under way at the same time.
const DEPLOYS: usize = 64;

/// A module to compile and start: its language and bytes.
struct Module {
    language: &'static str,
    bytes: &'static [u8],
    kind: Kind,
}

impl Module {
    const fn agent(language: &'static str, bytes: &'static [u8]) -> Self {
        Self {
            language,
            bytes,
            kind: Kind::Agent,
        }
    }
    fn name(&self) -> String {
        format!("{}, {} KB", self.language, self.bytes.len() / 1_000)
    }
}

/// Compiling modules of the sizes that the seeds name, and one large one.
pub(super) fn compile(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let small = Module {
        kind: Kind::Processor,
        ..Module::agent("C", HELLO_C)
    };
    let mut modules = vec![small, Module::agent("Rust", MEDIUM)];
    if !plan.quick {
        modules.push(Module::agent("Rust", LARGE));
        modules.push(Module::agent("Go", SAMPLE_GO));
    }
    let mut rows = Vec::new();
    for module in modules {
        let bench = Bench::new(plan, module)?;
        let (mut cold, mut bare_cold) = (Vec::new(), Vec::new());
        for _ in 0..plan.pick(1, 5) {
            bench.engine.cache().map(caxton_engine::Cache::clear);
            let begun = Instant::now();
            bench.compile()?;
            cold.push(begun.elapsed());
            let begun = Instant::now();
            bench.bare_compile()?;
            bare_cold.push(begun.elapsed());
        }
        let name = bench.module.name();
        bench.folder.close()?;
        let row = Row::times(
            format!("compile, {name}: a process of its own, limits, cache"),
            Unit::Millis,
            cold,
            "wasmtime in process, into a file",
            bare_cold,
        );
        rows.push(row.must(Target::Under(15.0)));
    }
    Ok(rows)
}

/// Starting modules out of the cache.
pub(super) async fn cached(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let large = of_module(plan, Module::agent("Rust", LARGE)).await?;
    let small = of_module(plan, Module::agent("Rust", SAMPLE_RUST)).await?;
    let mut rows = vec![
        large.must(Target::Under(1_000.0)),
        // What one of the seeds asks of a start with init.
        small.must(Target::Under(5_000.0)),
    ];
    if !plan.quick {
        rows.push(of_module(plan, Module::agent("Go", SAMPLE_GO)).await?);
    }
    Ok(rows)
}

/// A module, and both ways to compile it.
struct Bench {
    module: Module,
    folder: tempfile::TempDir,
    engine: Engine,
    loader: bare::BareLoader,
    verified: caxton_package::Verified,
}

impl Bench {
    fn new(plan: &Plan, module: Module) -> Result<Self, Failure> {
        let folder = folder(&plan.dir)?;
        let engine = Engine::new(EngineOptions {
            cache_dir: Some(folder.path().join("cache")),
            compile_worker: serving::compile_worker(),
            agents_max: 16,
            ..EngineOptions::default()
        })
        .map_err(failed)?;
        Ok(Self {
            loader: bare::BareLoader::new().map_err(failed)?,
            verified: caxton_package::verify(module.bytes, &Limits::unlimited()).map_err(failed)?,
            module,
            folder,
            engine,
        })
    }
    fn compile(&self) -> Result<Compiled, Failure> {
        let (profile, kind) = (EngineProfile::Hardened, self.module.kind);
        let compiled = self.engine.compile(&self.verified, profile, kind);
        compiled.map_err(failed)
    }
    fn file(&self) -> PathBuf {
        self.folder.path().join("bare")
    }
    fn bare_compile(&self) -> Result<(), Failure> {
        let done = self.loader.compile(self.module.bytes, &self.file());
        done.map_err(failed)
    }
}

async fn of_module(plan: &Plan, module: Module) -> Result<Row, Failure> {
    let bench = Bench::new(plan, module)?;
    bench.compile()?;
    bench.bare_compile()?;
    let limits = Limits::for_kind(Kind::Agent);
    let (mut warm, mut bare_warm) = (Vec::new(), Vec::new());
    for _ in 0..plan.pick(20, 300) {
        let begun = Instant::now();
        let compiled = bench.compile()?;
        let linked = bench
            .engine
            .link(&compiled, &caxton_model::Permissions::new());
        let instance = instance(&linked.map_err(failed)?, &limits).await?;
        warm.push(begun.elapsed());
        if !compiled.from_cache() {
            return Err(failed("a module that was just cached was compiled again"));
        }
        drop(instance);
        let begun = Instant::now();
        bench.loader.start(&bench.file()).map_err(failed)?;
        bare_warm.push(begun.elapsed());
    }
    let name = bench.module.name();
    bench.folder.close()?;
    Ok(Row::times(
        format!("cached start, {name}: load, check, link, instantiate, init"),
        Unit::Micros,
        warm,
        "wasmtime: map the file, link, instantiate, init",
        bare_warm,
    ))
}

/// An empty node, and one with many agents.
pub(super) async fn node(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let agents = plan.pick(1_000, 10_000);
    let (empty, full) = (of_node(plan, 0).await?, of_node(plan, agents).await?);
    Ok(vec![
        empty.must(Target::Under(50.0)),
        full.must(Target::Under(1_000.0)),
    ])
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
