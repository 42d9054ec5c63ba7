//! Debian packages, unpacked into a folder of the project; nothing is installed on the system.
//!
//! Apt gets package lists and a cache of its own, which are refreshed before they are used. The lists
//! of the system may be missing or months old, and then offer other versions.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::{DebianPins, run, version::at_least};

/// Apt with its own lists below the toolchains' prefix.
#[derive(Debug)]
struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// Makes the folders, and pins the packages to one release if `pins` name it.
    fn new(prefix: &Path, pins: &DebianPins) -> anyhow::Result<Self> {
        let folder = std::path::absolute(prefix.join("apt"))?;
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let preferences = folder.join("preferences");
        let pinned = pins.release.as_ref().map_or_else(String::new, |version| {
            let packages = pins.packages.join(" ");
            format!("Package: {packages}\nPin: version {version}.*\nPin-Priority: 1001\n")
        });
        fs::write(&preferences, pinned)?;
        let option = |name: &str, path: PathBuf| format!("{name}={}", path.display());
        Ok(Self {
            options: vec![
                option("Dir::State::Lists", folder.join("lists")),
                option("Dir::Cache", folder.join("cache")),
                option("Dir::Etc::Preferences", preferences),
            ],
        })
    }

    /// One of apt's programs, with these options.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C");
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }

    /// The version that would be downloaded; `None` if the lists do not have the package.
    fn candidate(&self, package: &str) -> anyhow::Result<Option<String>> {
        let policy = run(self.command("apt-cache").args(["policy", package]))?;
        Ok(policy
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "))
            .filter(|version| *version != "(none)")
            .map(str::to_owned))
    }

    /// Refreshes the lists and checks the version of the first package.
    ///
    /// One unreachable source of several is no failure, as long as the package is offered.
    fn refresh(&self, pins: &DebianPins, remedy: &str) -> anyhow::Result<()> {
        let refreshed = run(self.command("apt-get").args(["update", "-q"])).map(drop);
        let package = pins.packages.first().context("no package is named")?;
        let Some(candidate) = self.candidate(package)? else {
            refreshed.context(
                "the package lists could not be fetched; check the network and the sources in \
                 /etc/apt, then run this again",
            )?;
            bail!("none of the package sources in /etc/apt has the package {package}");
        };
        at_least(package, &candidate, &pins.minimum, remedy)
    }

    /// The packages and their dependencies, without those that the system has.
    fn missing(&self, packages: &[String]) -> anyhow::Result<BTreeSet<String>> {
        let mut depends = self.command("apt-cache");
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
}

/// Unpacks packages, and whatever they depend on that the system lacks, into a folder.
///
/// Errors: the lists offer no version that will do, which is found before anything is downloaded.
pub(super) fn unpack(
    prefix: &Path,
    pins: &DebianPins,
    remedy: &str,
    into: &Path,
) -> anyhow::Result<()> {
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "the Debian packages {} are needed, and this system is no Debian; {remedy}",
            pins.packages.join(", ")
        );
    }
    let apt = Apt::new(prefix, pins)?;
    apt.refresh(pins, remedy)?;
    let missing = apt.missing(&pins.packages)?;
    let debs = into.join("debs");
    fs::create_dir_all(&debs)?;
    run(apt
        .command("apt-get")
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

/// The folders of the unpacked shared libraries, as a value of `LD_LIBRARY_PATH`.
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
