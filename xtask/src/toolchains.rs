//! Finds the compilers guests need, installs the missing ones into a private prefix, and says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

mod c;
mod debian;
mod go;
mod node;
mod npm;
mod rust;

pub(crate) use rust::cargo_home;

/// `guests/toolchains.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    rust: RustPins,
    c: DebianPins,
    node: PipPins,
    assemblyscript: NpmPins,
    go: PipPins,
    binaryen: NpmPins,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RustPins {
    targets: Vec<String>,
    debian: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianPins {
    debian: Vec<String>,
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

    /// Clang for wasm32, freestanding and with WASI's libc.
    pub(crate) fn c(&self) -> anyhow::Result<Tool> {
        c::find(&self.prefix, &self.pins.c.debian)
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
            &self.pins.binaryen.npm,
            "wasm-opt",
        )
    }
}

/// What could be installed. Where it could not, it is said that `what` was not run; in CI that is a
/// failure.
pub(crate) fn had<T>(
    installed: anyhow::Result<T>,
    what: &str,
    in_ci: bool,
) -> anyhow::Result<Option<T>> {
    match installed {
        Err(error) if !in_ci => {
            println!("{what}: NOT run: {error:#}");
            Ok(None)
        }
        other => other.map(Some),
    }
}

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
