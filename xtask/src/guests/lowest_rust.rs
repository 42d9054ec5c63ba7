//! Whether the SDK compiles with the lowest Rust that its manifests name.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

use super::stage;
use crate::toolchains::{Toolchains, run};

/// Compiles the SDK's crates and the guests in Rust with that compiler, for this machine.
pub(super) fn check(root: &Path) -> anyhow::Result<()> {
    let toolchains = Toolchains::of(root)?;
    let release = toolchains.lowest_rust_release();
    named_by_all(root, release)?;
    let tool = toolchains.lowest_rust()?;
    let mut cargo = tool.command();
    cargo
        .args(["check", "--quiet", "--locked", "--workspace"])
        .current_dir(stage::stage(root)?)
        .env("CARGO_TARGET_DIR", root.join("target/guests/lowest-rust"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut cargo).with_context(|| format!("the SDK does not compile with Rust {release}"))?;
    println!("SDK: compiles with Rust {release}");
    Ok(())
}

/// Errors: a crate's manifest names another `rust-version` than the one that is checked.
fn named_by_all(root: &Path, release: &str) -> anyhow::Result<()> {
    for name in stage::CRATES {
        let path = root.join("crates").join(name).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path)?.parse()?;
        let named = manifest
            .get("package")
            .and_then(|package| package.get("rust-version")?.as_str());
        ensure!(
            named == Some(release),
            "{}: `rust-version` is {}, and [lowest_rust] of guests/toolchains.toml is {release}; \
             make them agree",
            path.display(),
            named.unwrap_or("not given")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sdks_crates_name_the_lowest_rust_that_is_checked() {
        let root = crate::root();
        let toolchains = crate::toolchains::Toolchains::of(&root).unwrap();
        super::named_by_all(&root, toolchains.lowest_rust_release()).unwrap();
        let error = super::named_by_all(&root, "1.0").unwrap_err();
        assert!(error.to_string().contains("make them agree"), "{error}");
    }
}
