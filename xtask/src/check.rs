//! Everything that can be judged without running a test: form, lints, house rules, dependencies.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    step::{Steps, cargo},
    toolchains::once,
};

/// What is installed to read `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// `cargo xtask check`.
pub(crate) fn run(root: &Path, in_ci: bool) -> anyhow::Result<()> {
    let mut steps = Steps::new(in_ci);
    get_tools(&mut steps, root);
    add(&mut steps, root);
    steps.finish()
}

/// Gets what the steps need beyond cargo.
pub(crate) fn get_tools(steps: &mut Steps, root: &Path) {
    steps.get("cargo-deny", || {
        let dir = deny_folder(root);
        once(&dir, CARGO_DENY, "cargo-deny", || {
            let prefix = dir.to_str().context("the repository's path is no text")?;
            let version = ["--version", CARGO_DENY, "--root", prefix];
            let install = ["install", "--quiet", "--locked", "cargo-deny"];
            cargo(root, &[install, version].concat())
        })
    });
}

fn deny_folder(root: &Path) -> PathBuf {
    root.join("target/toolchains/cargo-deny")
}

/// The steps, for other chores too.
pub(crate) fn add(steps: &mut Steps, root: &Path) {
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
    steps.run("lock files", || {
        // Workspaces that no ordinary build looks at.
        for workspace in ["fuzz", "bench-peers", "guests/rust"] {
            cargo(
                &root.join(workspace),
                &["update", "--workspace", "--locked"],
            )?;
        }
        Ok(())
    });
    let what = "licences, sources and bans of dependencies";
    steps.run_with(what, &["cargo-deny"], || deny(root));
}

fn deny(root: &Path) -> anyhow::Result<()> {
    let status = Command::new(deny_folder(root).join("bin/cargo-deny"))
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
