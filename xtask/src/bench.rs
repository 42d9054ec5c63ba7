//! The shipped measurements, by the shipped program; beside other projects' if so wished.

use std::path::Path;

use anyhow::Context as _;

use crate::step::cargo;

/// What the peers are built from.
const PEERS: &str = "bench-peers";

/// `cargo xtask bench`: `caxton bench` of a release build. With `--peers` those of `bench-peers/` are
/// built first, which takes minutes once, and measured beside.
pub(crate) fn run(root: &Path, peers: bool, more: &[&str]) -> anyhow::Result<()> {
    let program = peers.then(|| build_peers(root)).transpose()?;
    let mut args = vec![
        "run",
        "--release",
        "--quiet",
        "--package",
        "caxton",
        "--",
        "bench",
    ];
    if let Some(program) = &program {
        args.extend(["--peers", program]);
    }
    args.extend(more);
    cargo(root, &args)
}

/// Builds them into a folder that no other build uses; the program's place.
fn build_peers(root: &Path) -> anyhow::Result<String> {
    let folder = root.join(PEERS);
    let target = root.join("target").join(PEERS);
    let text = target
        .to_str()
        .context("the repository's path is no text")?;
    cargo(
        &folder,
        &["build", "--release", "--locked", "--target-dir", text],
    )?;
    Ok(format!("{text}/release/{PEERS}"))
}
