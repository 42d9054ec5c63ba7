//! Everything that can be judged without running a test: form, lints, house rules, dependencies.

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};

use crate::{
    step::{Steps, cargo},
    toolchains::{had, once},
};

/// What is installed to read `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// `cargo xtask check`.
pub(crate) fn run(root: &Path, in_ci: bool) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    add(&mut steps, root, in_ci);
    steps.print();
    steps.finish()
}

/// The steps, for other chores too.
pub(crate) fn add(steps: &mut Steps, root: &Path, in_ci: bool) {
    steps.run("format", || cargo(root, &["fmt", "--all", "--check"]));
    steps.run("lints", || {
        // In release like everything else: the runtime's metadata is made once.
        cargo(
            root,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--release",
                "--",
                "-D",
                "warnings",
            ],
        )
    });
    steps.run("house rules", || crate::tidy::run(root));
    steps.run("dependencies", || {
        // Workspaces that no ordinary build looks at.
        for workspace in ["fuzz", "bench-peers", "guests/rust"] {
            cargo(
                &root.join(workspace),
                &["update", "--workspace", "--locked"],
            )?;
        }
        deny(root, in_ci)
    });
}

/// Licences, sources and bans. Where the tool can't be had, that is said, and is a failure in CI.
fn deny(root: &Path, in_ci: bool) -> anyhow::Result<()> {
    let dir = root.join("target/toolchains/cargo-deny");
    let installed = once(&dir, CARGO_DENY, "cargo-deny", || {
        let prefix = dir.to_str().context("the repository's path is no text")?;
        let version = ["--version", CARGO_DENY, "--root", prefix];
        let install = ["install", "--quiet", "--locked", "cargo-deny"];
        cargo(root, &[install, version].concat())
    });
    let what = "licences, sources and bans of dependencies";
    if had(installed, what, in_ci)?.is_none() {
        return Ok(());
    }
    let status = Command::new(dir.join("bin/cargo-deny"))
        .args([
            "--log-level",
            "error",
            "check",
            "licenses",
            "sources",
            "bans",
        ])
        .current_dir(root)
        .status()
        .context("cannot start cargo-deny")?;
    ensure!(status.success(), "cargo-deny: {status}");
    Ok(())
}
