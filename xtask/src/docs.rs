//! The documents that are made from the code: tables, schemas, help texts, the API's description.
//!
//! Each is a golden file of a test, so that drift fails the ordinary suite; this chore rewrites
//! them all at once.

use std::path::Path;

use crate::step::{Steps, cargo_with};

/// `cargo xtask docs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compare with what is committed; change nothing.
    #[arg(long)]
    check: bool,
    /// Instead: run the command blocks of the pages and compare what they print with what is shown.
    #[arg(long, conflicts_with = "check")]
    run: bool,
}

/// The packages whose tests hold golden documents.
const WITH_GOLDEN: [&str; 3] = ["caxton-api", "caxton", "caxton-node"];

/// Does it.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    if args.run {
        crate::pages::add(&mut steps, root)?;
        return steps.finish();
    }
    for package in WITH_GOLDEN {
        let name = format!("golden files of {package}");
        let tests = ["test", "--release", "--package", package, "golden"];
        let env: &[(&str, &str)] = if args.check {
            &[]
        } else {
            &[("UPDATE_EXPECT", "1")]
        };
        steps.run(&name, || cargo_with(root, &tests, env));
    }
    steps.run("documentation of the code", || {
        let args = [
            "doc",
            "--release",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ];
        cargo_with(root, &args, &[("RUSTDOCFLAGS", "-D warnings")])
    });
    steps.run("the book's contents", || crate::tidy::run(root));
    steps.finish()
}
