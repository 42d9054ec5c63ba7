//! Kills a loaded node again and again, and counts what became of every acknowledged message.

use std::path::Path;

use crate::step::cargo_with;

/// `cargo xtask crash`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the node is killed.
    #[arg(long, default_value_t = 30)]
    kills: u32,
    /// Decides when; printed, so that a run can be repeated as far as the machine allows.
    #[arg(long)]
    seed: Option<u64>,
}

impl Args {
    /// So many kills, at moments of chance.
    pub(crate) fn of(kills: u32) -> Self {
        Self { kills, seed: None }
    }
}

/// Runs the crash test of the program with these numbers. Of the whole workspace: the build is then the
/// one that the tests have made.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let kills = args.kills.to_string();
    let seed = args.seed.map(|seed| seed.to_string()).unwrap_or_default();
    cargo_with(
        root,
        &[
            "test",
            "--release",
            "--workspace",
            "--test",
            "it",
            "crash",
            "--",
            "--nocapture",
        ],
        &[
            ("CRASH_KILLS", kills.as_str()),
            ("CRASH_SEED", seed.as_str()),
        ],
    )
}
