//! `caxton cache`: compiled modules that are kept, so that no module is compiled twice.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use caxton_engine::{CacheEntry, CacheStats, Engine, EngineOptions};
use caxton_model::{ByteSize, EngineKind, EngineProfile, Limits};
use clap::Subcommand;
use serde::Serialize;

use crate::{
    commands::inspect::refused_text,
    environment::Environment,
    failure::Failure,
    output::{Output, count, one_line, pairs, table},
    start_failure::{compile_failure, engine_failure},
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
        Command::List(args) => output.value(&entries(&directory(args, environment)?)?, |entries| {
            let rows = entries.iter().map(|entry| {
                let at = entry.used_secs.saturating_mul(1_000_000);
                let used = caxton_model::format_rfc3339(caxton_model::Timestamp(at));
                [entry.name.clone(), ByteSize(entry.bytes).to_string(), used]
            });
            table(["module and build", "size", "last used"], rows)
        }),
        Command::Clear(args) => {
            let directory = directory(args, environment)?;
            let removed = caxton_engine::clear_cached_modules(&directory)
                .map_err(|error| no_cache(&directory, &error))?;
            let shown = serde_json::json!({ "removed": removed });
            output.value(&shown, |_| {
                format!("removed {}", count(removed, "compiled module"))
            })
        }
        Command::Stats(args) => {
            let entries = entries(&directory(args, environment)?)?;
            let stats = CacheStats {
                entries: entries.len() as u64,
                bytes: entries.iter().map(|entry| entry.bytes).sum(),
                bytes_max: EngineOptions::default().cache_bytes_max,
                ..CacheStats::default()
            };
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
    crate::serving::keep_private();
    let options = EngineOptions {
        kind: args.engine,
        cache_dir: Some(directory(args.cache, environment)?),
        compile_worker: crate::serving::compile_worker(),
        ..EngineOptions::default()
    };
    let engine = Engine::new(options).map_err(|error| engine_failure(&error))?;
    for file in &args.files {
        let bytes = fs::read(file).map_err(|error| Failure::file(file, &error))?;
        let verified = caxton_package::verify(bytes, &Limits::unlimited()).map_err(|error| {
            let what = format!("{}: {}", file.display(), refused_text(&error));
            Failure::of(error.code(), what)
        })?;
        let kind = verified.report().kind.unwrap_or_default();
        let begun = Instant::now();
        let compiled = engine
            .compile(&verified, args.engine_profile, kind)
            .map_err(|error| {
                let failure = compile_failure(&error);
                let what = format!("{}: {}", file.display(), failure.what);
                Failure { what, ..failure }
            })?;
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
            format!("{} {how} in {} ms", one_line(&warmed.file), warmed.millis)
        })?;
    }
    Ok(())
}

/// The cache of the data directory of a node.
fn directory(args: CacheArgs, environment: &Environment) -> Result<PathBuf, Failure> {
    Ok(environment
        .used_data_directory(args.data.as_deref())?
        .join("cache"))
}

fn entries(directory: &Path) -> Result<Vec<CacheEntry>, Failure> {
    caxton_engine::cached_modules(directory).map_err(|error| no_cache(directory, &error))
}

fn no_cache(directory: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(
            format!("{} is not there", directory.display()),
            "name the data directory of a node with --data; `caxton cache warm` creates a cache",
        ),
        _ => Failure::file(directory, error),
    }
}
