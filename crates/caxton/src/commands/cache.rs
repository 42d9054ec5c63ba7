//! `caxton cache`: compiled modules that are kept, so that no module is compiled twice.

use std::{fs, path::PathBuf, time::Instant};

use caxton_engine::{Engine, EngineOptions};
use caxton_model::{ByteSize, EngineKind, EngineProfile, UNLIMITED};
use clap::Subcommand;
use serde::Serialize;

use crate::{
    environment::Environment,
    failure::{Exit, Failure},
    output::{Output, pairs, table},
};

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what is in it
    #[command(visible_alias = "ls")]
    List(CacheArgs),
    /// Remove everything from it
    Clear(CacheArgs),
    /// Compile modules into it, so that their first use is quick
    Warm(WarmArgs),
    /// Sizes and counts
    Stats(CacheArgs),
}

/// Which cache.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Which modules.
#[derive(Debug, clap::Args)]
pub(crate) struct WarmArgs {
    /// The modules
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The engine profile they will run under
    #[arg(long, default_value = "hardened", value_parser = str::parse::<EngineProfile>)]
    engine_profile: EngineProfile,
    /// What turns guest code into action: cranelift or pulley
    #[arg(long, default_value = "cranelift", value_parser = str::parse::<EngineKind>)]
    engine: EngineKind,
    #[command(flatten)]
    cache: CacheArgs,
}

/// A module that was compiled, as printed.
#[derive(Serialize)]
struct Warmed {
    file: String,
    digest: String,
    from_cache: bool,
    millis: u128,
}

/// Does it.
pub(crate) fn run(
    command: Command,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        Command::List(args) => {
            let engine = engine(args, EngineKind::default(), environment)?;
            let entries = cache(&engine)?.list();
            output.value(&entries, |entries| {
                let rows = entries.iter().map(|entry| {
                    let at = entry.used_secs.saturating_mul(1_000_000);
                    let used = caxton_model::format_rfc3339(caxton_model::Timestamp(at));
                    [entry.name.clone(), ByteSize(entry.bytes).to_string(), used]
                });
                table(["module and build", "size", "last used"], rows)
            })
        }
        Command::Clear(args) => {
            let engine = engine(args, EngineKind::default(), environment)?;
            let removed = cache(&engine)?.clear();
            let shown = serde_json::json!({ "removed": removed });
            output.value(&shown, |_| format!("removed {removed} compiled modules"))
        }
        Command::Stats(args) => {
            let engine = engine(args, EngineKind::default(), environment)?;
            let stats = cache(&engine)?.stats();
            output.value(&stats, |stats| {
                pairs(&[
                    ("entries", stats.entries.to_string()),
                    ("size", ByteSize(stats.bytes).to_string()),
                    ("at most", ByteSize(stats.bytes_max).to_string()),
                ])
            })
        }
        Command::Warm(args) => warm(args, output, environment),
    }
}

fn warm(args: WarmArgs, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let engine = engine(args.cache, args.engine, environment)?;
    for file in &args.files {
        let bytes = fs::read(file).map_err(|error| Failure::file(file, &error))?;
        let verified = caxton_package::verify(bytes, UNLIMITED)
            .map_err(|error| Failure::of(error.code(), format!("{}: {error}", file.display())))?;
        let kind = verified.report().kind.unwrap_or_default();
        let begun = Instant::now();
        let compiled = engine
            .compile(&verified, args.engine_profile, kind)
            .map_err(|error| Failure::of(error.code(), format!("{}: {error}", file.display())))?;
        let warmed = Warmed {
            file: file.display().to_string(),
            digest: verified.digest().to_string(),
            from_cache: compiled.from_cache(),
            millis: begun.elapsed().as_millis(),
        };
        output.entry(&warmed, |warmed| {
            let how = if warmed.from_cache {
                "was there"
            } else {
                "compiled"
            };
            format!("{} {how} in {} ms", warmed.file, warmed.millis)
        })?;
    }
    Ok(())
}

fn engine(args: CacheArgs, kind: EngineKind, environment: &Environment) -> Result<Engine, Failure> {
    let data = args
        .data
        .or_else(|| environment.get("CAXTON_DATA").map(PathBuf::from))
        .unwrap_or_else(|| environment.data_directory());
    let options = EngineOptions {
        kind,
        cache_dir: Some(data.join("cache")),
        compile_worker: crate::serving::compile_worker(),
        ..EngineOptions::default()
    };
    Engine::new(options).map_err(|error| Failure::of(error.code(), error.to_string()))
}

fn cache(engine: &Engine) -> Result<&caxton_engine::Cache, Failure> {
    engine.cache().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "this engine has no cache",
            "name a data directory with --data",
        )
    })
}
