//! Runs the fuzz targets: libFuzzer makes inputs up, guided by what code they reach.
//!
//! The targets are a workspace of their own, built by this toolchain with coverage counters. What a
//! run finds goes into the target's corpus, which the ordinary suite replays.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::step::Steps;

/// `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Decides what is made up; printed by the fuzzer.
    #[arg(long)]
    seed: Option<u32>,
    /// Only this target; all of them if none is named.
    target: Option<String>,
}

impl Args {
    /// Every target for so many seconds.
    pub(crate) fn of(seconds: u32) -> Self {
        Self {
            seconds,
            seed: None,
            target: None,
        }
    }
}

/// Has the compiler count which edges are taken, and what is compared with what.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing";

/// Named, so that the flags are for the target and not for build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// An input takes at most this memory; what takes more is found, like a panic.
const MEMORY_MIB: u32 = 1_024;

/// Longer inputs find nothing new, and slowly.
const INPUT_BYTES_MAX: u32 = 8_192;

/// An input that takes longer is found, like a panic.
const INPUT_SECONDS: u32 = 20;

/// Runs each target for a while.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let corpora = root.join("fuzz/corpus");
    let mut targets: Vec<String> = fs::read_dir(&corpora)
        .with_context(|| corpora.display().to_string())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| args.target.as_ref().is_none_or(|wanted| wanted == name))
        .collect();
    targets.sort();
    ensure!(
        !targets.is_empty(),
        "there is no such target; the folders of fuzz/corpus are their names"
    );
    let program = build(root)?;
    let mut steps = Steps::default();
    for target in targets {
        steps.run(&target, || fuzz(root, &program, &target, args));
    }
    steps.finish()
}

fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = crate::cargo();
    let into = root.join("target/fuzz");
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--release", "--locked", "--target", TRIPLE])
        .arg("--target-dir")
        .arg(&into)
        .current_dir(root.join("fuzz"))
        .env("RUSTFLAGS", COVERAGE);
    // The compiler beside this cargo: a dependency's own choice of toolchain does not count.
    let rustc = Path::new(&cargo).with_file_name("rustc");
    if rustc.is_file() {
        command.env("RUSTC", rustc);
    }
    let status = command.status().context("cargo")?;
    ensure!(status.success(), "building the fuzz targets: {status}");
    Ok(into.join(TRIPLE).join("release/fuzz"))
}

fn fuzz(root: &Path, program: &Path, target: &str, args: &Args) -> anyhow::Result<()> {
    // What is only interesting stays out of the repository; what breaks a target is to go in.
    let found = root.join("target/fuzz/corpus").join(target);
    let broken = root.join("target/fuzz/broken").join(target);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&broken)?;
    let mut command = Command::new(program);
    command
        .env("FUZZ_TARGET", target)
        .arg(format!("-max_total_time={}", args.seconds))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .arg("-print_final_stats=1")
        .arg("-verbosity=1");
    command.args(args.seed.map(|seed| format!("-seed={seed}")));
    command
        .arg(&found)
        .arg(root.join("fuzz/corpus").join(target));
    let status = command.status().context("the fuzzer")?;
    ensure!(
        status.success(),
        "{target} broke its word ({status}); mend it, and keep the input of {} as a file of \
         fuzz/corpus/{target}/",
        broken.display()
    );
    Ok(())
}
