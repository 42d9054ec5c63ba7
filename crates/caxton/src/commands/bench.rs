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
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("caxton-bench-")
        .tempdir_in(dir)?;
    let plan = Plan {
        quick: args.quick,
        only: args.only.clone(),
        peers: args.peers.clone(),
        dir: folder.path().to_owned(),
    };
    let runtime = serving::runtime()?;
    let (rows, ended) = runtime.block_on(async {
        end_on_signal(folder.path().to_owned(), output.clone())?;
        Ok::<_, Failure>(
            bench::run(&plan, |row| {
                if output.shows_progress() {
                    output.note(&row.line());
                }
            })
            .await,
        )
    })?;
    folder.close()?;
    output.value(&rows, |rows| bench::show(rows))?;
    ended
}

/// Ends the process on a signal, whatever is measured: a measurement does not look up from its work.
fn end_on_signal(folder: PathBuf, output: Output) -> Result<(), Failure> {
    let stop = serving::stop_signal(None)?;
    #[allow(
        clippy::disallowed_methods,
        reason = "ends with the process; nothing waits for it"
    )]
    tokio::spawn(async move {
        let reason = stop.await;
        output.note(&format!(
            "interrupted by {reason}; what was measured until then is above"
        ));
        // Nothing can be said about what is left of it any more.
        let _ = std::fs::remove_dir_all(folder);
        std::process::exit(130);
    });
    Ok(())
}
