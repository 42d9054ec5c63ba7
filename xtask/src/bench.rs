//! The shipped measurements, by the shipped program.

use std::path::Path;

use crate::step::cargo;

/// `cargo xtask bench`: `caxton bench` of a release build.
pub(crate) fn run(root: &Path, more: &[&str]) -> anyhow::Result<()> {
    let mut args = vec![
        "run",
        "--release",
        "--quiet",
        "--package",
        "caxton",
        "--",
        "bench",
    ];
    args.extend(more);
    cargo(root, &args)
}
