//! Finds the compilers guests need, installs the missing ones into a private prefix, and says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::step::Steps;

mod c;
mod debian;
mod go;
mod node;
mod npm;
mod rust;
mod version;

pub(crate) use rust::cargo_home;

/// `guests/toolchains.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    rust: RustPins,
    lowest_rust: DebianPins,
    c: DebianPins,
    node: PipPins,
    assemblyscript: NpmPins,
    go: PipPins,
    #[serde(rename = "wasm-opt")]
    wasm_opt: NpmPins,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RustPins {
    targets: Vec<String>,
    debian: DebianPins,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianPins {
    /// The first one is the tool itself, whose version is checked.
    packages: Vec<String>,
    /// The oldest version that will do.
    minimum: String,
    /// Only this release, where the lists have several.
    #[serde(default)]
    release: Option<String>,
}

impl DebianPins {
    /// Names what is installed, so that other pins install again.
    fn wanted(&self) -> String {
        let release = self.release.as_deref().unwrap_or("newest");
        format!("{} {} {release}", self.packages.join(" "), self.minimum)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NpmPins {
    npm: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PipPins {
    pip: String,
}

/// A compiler that is there: how to call it, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    /// The program.
    pub(crate) program: PathBuf,
    /// Arguments that come before all others.
    pub(crate) args: Vec<String>,
    /// The environment it needs.
    pub(crate) env: Vec<(String, String)>,
    /// Names and versions of all that shapes its output.
    pub(crate) fingerprint: String,
}

impl Tool {
    /// The call, ready for more arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Puts the tool's folder first on a command's path.
    pub(crate) fn on_path_of(&self, command: &mut Command) -> anyhow::Result<()> {
        let Some(folder) = self.program.parent().filter(|folder| folder.is_absolute()) else {
            return Ok(());
        };
        let old = std::env::var_os("PATH").unwrap_or_default();
        let all = [folder.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(all)?);
        Ok(())
    }
}

/// Where tools are and get installed.
#[derive(Debug)]
pub(crate) struct Toolchains {
    prefix: PathBuf,
    pins: Pins,
}

impl Toolchains {
    /// Reads the pins of a repository.
    pub(crate) fn of(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("guests/toolchains.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let pins = toml::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self {
            prefix: root.join("target/toolchains"),
            pins,
        })
    }

    /// Cargo with a compiler whose wasm targets have their std.
    pub(crate) fn rust(&self) -> anyhow::Result<Tool> {
        rust::find(&self.prefix, &self.pins.rust)
    }

    /// Cargo with the lowest compiler that the SDK is for; it compiles for this machine alone.
    pub(crate) fn lowest_rust(&self) -> anyhow::Result<Tool> {
        rust::find_lowest(&self.prefix, &self.pins.lowest_rust)
    }

    /// The release of [`Toolchains::lowest_rust`], such as `1.85`.
    pub(crate) fn lowest_rust_release(&self) -> &str {
        &self.pins.lowest_rust.minimum
    }

    /// Clang for wasm32, freestanding and with WASI's libc.
    pub(crate) fn c(&self) -> anyhow::Result<Tool> {
        c::find(&self.prefix, &self.pins.c)
    }

    /// Node, with npm beside it.
    pub(crate) fn node(&self) -> anyhow::Result<Tool> {
        node::find(&self.prefix, &self.pins.node.pip)
    }

    /// The AssemblyScript compiler.
    pub(crate) fn assemblyscript(&self) -> anyhow::Result<Tool> {
        npm::find(
            &self.prefix,
            &self.node()?,
            &self.pins.assemblyscript.npm,
            "asc",
        )
    }

    /// Go.
    pub(crate) fn go(&self) -> anyhow::Result<Tool> {
        go::find(&self.prefix, &self.pins.go.pip)
    }

    /// `wasm-opt`.
    pub(crate) fn wasm_opt(&self) -> anyhow::Result<Tool> {
        npm::find(
            &self.prefix,
            &self.node()?,
            &self.pins.wasm_opt.npm,
            "wasm-opt",
        )
    }
}

/// What to do about an installed tool that is not what its pin says.
const REINSTALL: &str = "remove target/toolchains and run this again";

/// `cargo xtask toolchains`: all of them, and nothing else.
pub(crate) fn run_all(root: &Path) -> anyhow::Result<()> {
    let mut steps = Steps::new(true);
    get_all(&mut steps, root)?;
    steps.finish()
}

/// Finds or installs every tool, so that a missing one is known before anything long begins.
pub(crate) fn get_all(steps: &mut Steps, root: &Path) -> anyhow::Result<()> {
    let toolchains = Toolchains::of(root)?;
    for (name, find) in TOOLS {
        steps.get(name, || find(&toolchains));
    }
    Ok(())
}

/// A tool's name, and how it is found or installed.
type Finder = (&'static str, fn(&Toolchains) -> anyhow::Result<Tool>);

/// Every tool. The slowest to install is the last.
const TOOLS: [Finder; 7] = [
    ("c", Toolchains::c),
    ("node", Toolchains::node),
    ("assemblyscript", Toolchains::assemblyscript),
    ("wasm-opt", Toolchains::wasm_opt),
    ("go", Toolchains::go),
    ("lowest rust", Toolchains::lowest_rust),
    ("rust", Toolchains::rust),
];

/// Runs a command to its end; its output is shown only if it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Installs a package of PyPI into a folder of its own.
fn pip_install(package: &str, into: &Path) -> anyhow::Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "-q", "--no-deps", "--target"])
        .arg(into)
        .arg(package);
    run(&mut pip)
        .map(drop)
        .context("python3 with pip is needed; on Debian: sudo apt-get install -y python3-pip")
}

/// What a command prints first, where it can be run at all.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

/// Installs into `dir` unless that was done before with the same `wanted`.
///
/// A half-done installation is removed and begun again.
pub(crate) fn once(
    dir: &Path,
    wanted: &str,
    what: &str,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stamp = dir.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    println!(
        "{what}: not on this machine; installing into {}",
        dir.display()
    );
    let begun = Instant::now();
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    install().with_context(|| format!("{what} could not be installed"))?;
    fs::write(stamp, wanted)?;
    println!(
        "{what}: installed in {:.0} s",
        begun.elapsed().as_secs_f32()
    );
    Ok(())
}
