//! Tools that npm carries (the AssemblyScript compiler, binaryen), in a folder of their own.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use super::{Tool, first_line, once, run};

/// Finds or installs `package` (with its exact version); `binary` is the program to call.
pub(super) fn find(prefix: &Path, package: &str, binary: &str) -> anyhow::Result<Tool> {
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
        run(&mut npm).context("npm is needed; Debian: sudo apt-get install -y nodejs npm")?;
        Ok(())
    })?;
    let program = dir.join("node_modules/.bin").join(binary);
    let version = first_line(Command::new(&program).arg("--version"))
        .with_context(|| format!("{} does not run; is node there?", program.display()))?;
    println!("{name}: {version}");
    Ok(Tool {
        program,
        args: Vec::new(),
        env: Vec::new(),
        fingerprint: package.replace('@', " "),
    })
}
