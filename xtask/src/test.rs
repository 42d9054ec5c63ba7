//! The one command behind "is it all right?": tools, guests, checks, measurements, every test.

use std::path::Path;

use crate::{
    api_clients, check, crash, fuzz, guests, pages, schemathesis, sim,
    step::{Steps, cargo},
    toolchains,
};

/// `cargo xtask test`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Leave the guests' toolchains alone; their rebuild is then not tested.
    #[arg(long, conflicts_with = "full")]
    no_guests: bool,
    /// Rebuild every guest, try every template, and run the long suites too: hours.
    #[arg(long)]
    full: bool,
}

/// Seeds of the simulator, kills of a node and seconds of each fuzz target, with `--full`.
const LONG_SEEDS: u64 = 100_000;
const LONG_KILLS: u32 = 200;
const LONG_FUZZ_SECONDS: u32 = 60;

/// Runs everything. Tools come first: what cannot be had is known before anything long begins.
pub(crate) fn run(root: &Path, args: &Args, in_ci: bool) -> anyhow::Result<()> {
    let mut steps = Steps::new(in_ci);
    if args.no_guests {
        println!(
            "guests: left alone as asked; NOT tested: that their sources give the committed binaries"
        );
        anyhow::ensure!(!in_ci, "`--no-guests` is not for CI");
    } else {
        toolchains::get_all(&mut steps, root)?;
    }
    check::get_tools(&mut steps, root);
    let packages = schemathesis::get_tools(&mut steps, root);
    let generators = api_clients::get_tools(&mut steps, root);
    steps.run("build", || {
        cargo(root, &["build", "--release", "--workspace"])
    });
    if !args.no_guests {
        guests::add(&mut steps, root, args.full)?;
    }
    pages::add(&mut steps, root)?;
    check::add(&mut steps, root);
    let seeds = if args.full { LONG_SEEDS } else { sim::SEEDS };
    steps.run("simulator", || sim::run(root, &sim::Args::of(seeds)));
    steps.run("simulator finds what is planted", || sim::planted(root));
    steps.run("measurements", || {
        crate::bench::run(root, false, &["--quick"])
    });
    // Before the tests: they build the program again, without the faults.
    steps.run("each limit taken out is found by `caxton doctor`", || {
        let test = [
            "test",
            "--release",
            "-p",
            "caxton",
            "--features",
            "planted",
            "--test",
            "planted",
        ];
        cargo(root, &test)
    });
    schemathesis::add(&mut steps, root, packages.as_deref());
    api_clients::add(&mut steps, root, generators.as_deref());
    steps.run("tests", || {
        cargo(
            root,
            &["test", "--workspace", "--release", "--no-fail-fast"],
        )
    });
    if args.full {
        steps.run("crashes", || crash::run(root, &crash::Args::of(LONG_KILLS)));
        steps.run("fuzzing", || {
            fuzz::run(root, &fuzz::Args::of(LONG_FUZZ_SECONDS))
        });
    }
    steps.finish()
}
