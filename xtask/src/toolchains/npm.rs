//! Tools that npm carries (the AssemblyScript compiler, binaryen), each in a folder of its own.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use super::{
    REINSTALL, Tool, first_line, once, run,
    version::{at_least, pinned},
};

/// Finds or installs `package` (with its exact version); `binary` is the program to call.
pub(super) fn find(
    prefix: &Path,
    node: &Tool,
    package: &str,
    binary: &str,
) -> anyhow::Result<Tool> {
    let name = package.split('@').next().unwrap_or(package);
    let dir = prefix.join(name);
    once(&dir, package, name, || {
        fs::write(dir.join("package.json"), "{\"private\":true}\n")?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
        ]);
        npm.args(["--save-exact", package]).current_dir(&dir);
        node.on_path_of(&mut npm)?;
        run(&mut npm).map(drop)
    })?;
    // Run by node itself: the programs' own first line asks the path for it.
    let script = dir
        .join("node_modules/.bin")
        .join(binary)
        .display()
        .to_string();
    let version = first_line(node.command().arg(&script).arg("--version"))
        .with_context(|| format!("{script} does not run"))?;
    at_least(name, &version, pinned(package), REINSTALL)?;
    println!("{name}: {}", version.trim_start_matches("Version "));
    Ok(Tool {
        program: node.program.clone(),
        args: vec![script],
        env: Vec::new(),
        fingerprint: package.replace('@', " "),
    })
}
