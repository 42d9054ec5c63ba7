//! `caxton bench`: measures this machine, each figure beside that of the bare part.

use std::path::PathBuf;

use crate::{
    bench::{self, Measure, Plan},
    failure::Failure,
    output::Output,
    serving,
};

/// How much is measured, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A look, not a measurement: few repetitions, some seconds in all
    #[arg(long)]
    quick: bool,
    /// Only this; may be given several times
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Measure>,
    /// Where what is durable is written and removed again; its disk is what is measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The program of `bench-peers/`, to measure beside too; `cargo xtask bench --peers` builds it
    #[arg(long, value_name = "PROGRAM")]
    peers: Option<PathBuf>,
}

/// Does it.
pub(crate) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let plan = Plan {
        quick: args.quick,
        only: args.only.clone(),
        peers: args.peers.clone(),
        dir: args.dir.clone().unwrap_or_else(std::env::temp_dir),
    };
    let (rows, ended) = serving::runtime()?.block_on(bench::run(&plan, |row| {
        if output.shows_progress() {
            output.note(&row.line());
        }
    }));
    output.value(&rows, |rows| bench::show(rows))?;
    ended
}
