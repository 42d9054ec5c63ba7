//! Changes the gate in one place after the other, and sees each change found by the gate's own tests.
//!
//! A change that no test finds is a survivor. `.cargo/mutants.toml` names those that are accepted, each
//! with its reason.

use std::path::Path;

use anyhow::Context as _;

use crate::{step::cargo, toolchains::once};

/// What is installed to make the changes.
const CARGO_MUTANTS: &str = "27.1.0";

/// `cargo xtask mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One of several equal parts of the changes: `2/8`, counted from 0.
    #[arg(long)]
    shard: Option<String>,
    /// Only changes in this file: `crates/caxton-gate/src/pattern.rs`.
    #[arg(long)]
    file: Option<String>,
}

/// Changes `caxton-gate`; the report is in `target/mutants/mutants.out`.
///
/// Errors: a change survives.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let dir = root.join("target/toolchains/cargo-mutants");
    once(&dir, CARGO_MUTANTS, "cargo-mutants", || {
        let prefix = dir.to_str().context("the repository's path is no text")?;
        let version = ["--version", CARGO_MUTANTS, "--root", prefix];
        let install = ["install", "--quiet", "--locked", "cargo-mutants"];
        cargo(root, &[install, version].concat())
    })?;
    let program = dir.join("bin/cargo-mutants");
    let mut command = std::process::Command::new(program);
    command.current_dir(root).args([
        "mutants",
        "--package",
        "caxton-gate",
        "--output",
        "target/mutants",
    ]);
    for (option, value) in [("--shard", &args.shard), ("--file", &args.file)] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    let status = command.status().context("cannot start cargo-mutants")?;
    anyhow::ensure!(
        status.success(),
        "changes survived, or could not be tried: see target/mutants/mutants.out/missed.txt ({status})"
    );
    Ok(())
}
