//! Everything that can be judged without running a test: form, lints, house rules, dependencies.

use std::{path::Path, process::Command};

use crate::step::{Steps, cargo};

/// `cargo xtask check`.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    add(&mut steps, root);
    steps.print();
    steps.finish()
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
    steps.run("dependencies", || {
        // Workspaces that no ordinary build looks at.
        for workspace in ["fuzz", "bench-peers", "guests/rust"] {
            cargo(
                &root.join(workspace),
                &["update", "--workspace", "--locked"],
            )?;
        }
        deny(root)
    });
}

/// Advisories, licences, sources. The layer bans of `deny.toml` are a house rule and always run.
fn deny(root: &Path) -> anyhow::Result<()> {
    let present = Command::new(crate::cargo())
        .args(["deny", "--version"])
        .current_dir(root)
        .output()
        .is_ok_and(|output| output.status.success());
    if present {
        return cargo(root, &["deny", "check", "licenses", "sources", "bans"]);
    }
    println!(
        "cargo-deny is not installed: licences and sources of dependencies were NOT checked \
         (`cargo install cargo-deny`, then `cargo xtask check`)"
    );
    Ok(())
}
