//! The one command behind "is it all right?": toolchains, guests, checks, measurements, every test.

use std::path::Path;

use crate::step::{Steps, cargo};

/// `cargo xtask test`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Leave the guests' toolchains alone; their rebuild is then not tested.
    #[arg(long)]
    no_guests: bool,
}

/// Runs everything; the test runner's own summary is the last thing printed.
pub(crate) fn run(root: &Path, args: &Args, in_ci: bool) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    steps.run("build", || {
        cargo(root, &["build", "--release", "--workspace"])
    });
    if args.no_guests {
        println!(
            "\nguests: left alone as asked; NOT tested: that their sources give the committed binaries"
        );
        anyhow::ensure!(!in_ci, "`--no-guests` is not for CI");
    } else {
        let had = steps.run("guests rebuilt and compared", crate::check_guests);
        if !had {
            eprintln!(
                "guests: NOT tested: that the sources in guests/ give the committed binaries{}",
                if in_ci {
                    ""
                } else {
                    "; all other tests run on the committed ones"
                }
            );
        }
    }
    if !args.no_guests {
        steps.run("templates laid out, tested and built", crate::try_templates);
    }
    crate::check::add(&mut steps, root, in_ci);
    steps.run("simulator", || crate::sim::run(root, &Default::default()));
    steps.run("simulator finds what is planted", || {
        crate::sim::planted(root)
    });
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
    crate::schemathesis::add(&mut steps, root, in_ci);
    steps.print();
    steps.run("tests", || {
        cargo(
            root,
            &["test", "--workspace", "--release", "--no-fail-fast"],
        )
    });
    steps.finish()
}
