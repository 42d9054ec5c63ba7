//! The tests that guests and the SDKs of other languages have of their own, natively.

use std::{path::Path, process::Command};

use crate::toolchains::{Toolchains, run};

/// Those of the guests in Rust.
pub(super) fn rust(root: &Path) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--quiet", "--locked"])
        .current_dir(root.join("guests/rust"));
    cargo.env("CARGO_TARGET_DIR", root.join("target/guests/tests"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    run(&mut cargo)?;
    Ok(())
}

/// Those of the SDK for Go.
pub(super) fn go(root: &Path) -> anyhow::Result<()> {
    let go = Toolchains::of(root)?.go()?;
    let mut test = go.command();
    // Natively: the package brings a host in memory for that.
    test.env_remove("GOOS").env_remove("GOARCH");
    run(test
        .args(["test", "./..."])
        .current_dir(root.join("sdk/go")))?;
    Ok(())
}
