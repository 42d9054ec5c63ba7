//! Runs the seeded simulator, and the proof that it finds what is planted.

use std::path::Path;

use crate::step::cargo;

/// Seeds that an ordinary run of everything lives through.
pub(crate) const SEEDS: u64 = 10_000;

/// `cargo xtask sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = SEEDS)]
    seeds: u64,
    /// The first seed; a failing run names the one to repeat.
    #[arg(long, default_value_t = 1)]
    from: u64,
}

impl Args {
    /// So many seeds from the first one on.
    pub(crate) fn of(seeds: u64) -> Self {
        Self { seeds, from: 1 }
    }
}

/// Lives these seeds.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let (seeds, from) = (args.seeds.to_string(), args.from.to_string());
    let run = ["run", "--release", "--package", "caxton-sim", "--"];
    cargo(root, &[&run[..], &[&seeds, &from]].concat())
}

/// Plants each fault in a build of its own, and sees it found.
pub(crate) fn planted(root: &Path) -> anyhow::Result<()> {
    let build = ["test", "--release", "--package", "caxton-sim"];
    let what = [
        "--features",
        "planted",
        "--test",
        "planted",
        "--",
        "--nocapture",
    ];
    cargo(root, &[&build[..], &what[..]].concat())
}
