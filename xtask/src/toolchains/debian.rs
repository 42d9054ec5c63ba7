//! Debian packages unpacked into a folder of ours: nothing is installed over the system's.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::run;

/// Unpacks packages and whatever they depend on that the system lacks.
pub(super) fn unpack(packages: &[String], into: &Path) -> anyhow::Result<()> {
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "this is no Debian; install what your system calls these packages, then run this again: {}",
            packages.join(" ")
        );
    }
    let missing = match missing(packages) {
        Ok(missing) => missing,
        Err(_) => {
            run(Command::new("apt-get").args(["update", "-q"])).with_context(|| {
                format!(
                    "apt knows no package list and it could not be fetched; one command does it: \
                     sudo apt-get update && sudo apt-get install -y {}",
                    packages.join(" ")
                )
            })?;
            missing(packages)?
        }
    };
    let debs = into.join("debs");
    fs::create_dir_all(&debs)?;
    run(Command::new("apt-get")
        .args(["download", "-q"])
        .args(&missing)
        .current_dir(&debs))?;
    for deb in fs::read_dir(&debs)? {
        run(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(into))?;
    }
    fs::remove_dir_all(&debs)?;
    println!(
        "  from Debian: {}",
        missing.iter().cloned().collect::<Vec<_>>().join(" ")
    );
    Ok(())
}

/// The packages and their dependencies, less those the system has.
fn missing(packages: &[String]) -> anyhow::Result<BTreeSet<String>> {
    let mut depends = Command::new("apt-cache");
    depends.args([
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
    ]);
    depends
        .args(["--no-breaks", "--no-replaces", "--no-enhances"])
        .args(packages);
    let closure = run(&mut depends)?;
    let names: BTreeSet<String> = closure
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()))
        .map(|line| line.trim().to_owned())
        .collect();
    let installed = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .output()
        .context("dpkg-query")?;
    let installed: BTreeSet<String> = String::from_utf8_lossy(&installed.stdout)
        .lines()
        .filter_map(|line| line.strip_suffix(" installed").map(str::to_owned))
        .collect();
    // A package asked for by name is taken even if the system has it: the prefix must be whole.
    Ok(names
        .into_iter()
        .filter(|name| packages.contains(name) || !installed.contains(name))
        .collect())
}

/// Where the unpacked shared libraries are, as `LD_LIBRARY_PATH`.
pub(super) fn library_path(prefix: &Path) -> anyhow::Result<String> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(prefix.join("usr/lib"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with("-linux-gnu") {
            folders.push(path);
        } else if name.starts_with("llvm-") {
            folders.push(path.join("lib"));
        }
    }
    folders.sort();
    Ok(folders
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(":"))
}
