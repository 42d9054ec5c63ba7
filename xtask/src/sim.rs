//! Runs the kernel's seeded simulator for longer than the ordinary suite does.

use std::path::Path;

use crate::step::cargo_with;

/// `cargo xtask sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed; a failing run names the one to repeat.
    #[arg(long, default_value_t = 1)]
    from: u64,
}

/// Runs the simulator's test with these numbers.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let (seeds, from) = (args.seeds.to_string(), args.from.to_string());
    cargo_with(
        root,
        &[
            "test",
            "--release",
            "--package",
            "caxton-kernel",
            "sim",
            "--",
            "--nocapture",
        ],
        &[("SIM_SEEDS", seeds.as_str()), ("SIM_FROM", from.as_str())],
    )
}
