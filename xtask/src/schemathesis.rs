//! Schemathesis against a node: what the OpenAPI document promises, held against what is served.
//!
//! It comes from PyPI, pinned with all it needs, because its seed means the same only with the same
//! generator. The node runs in a throw-away directory on a free port of the loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{
    node::{self, Node},
    step::Steps,
    toolchains::{once, run as run_quietly},
};

/// Its name among the tools.
const TOOL: &str = "schemathesis";
/// What is installed: every package with its version.
const REQUIREMENTS: &str = include_str!("schemathesis/requirements.txt");
/// How it is run: what is checked, what is left out and why.
const CONFIG: &str = include_str!("schemathesis/schemathesis.toml");

/// `cargo xtask schemathesis`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Cases for each operation beside the fixed ones.
    #[arg(long, default_value_t = 10)]
    examples: u32,
    /// Decides which; the same number gives the same cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            examples: 10,
            seed: 1,
        }
    }
}

/// Installs it; answers where its packages are.
pub(crate) fn get_tools(steps: &mut Steps, root: &Path) -> Option<PathBuf> {
    steps.get(TOOL, || install(root))
}

/// As a step of `cargo xtask test`, with the packages of [`get_tools`].
pub(crate) fn add(steps: &mut Steps, root: &Path, packages: Option<&Path>) {
    steps.run_with("API against its document", &[TOOL], || {
        let packages = packages.context("it was not installed")?;
        check(root, packages, &Args::default())
    });
}

/// Installs it if need be, starts a node, and lets it ask.
pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let packages = install(root)?;
    check(root, &packages, args)
}

/// Where its packages are.
fn install(root: &Path) -> anyhow::Result<PathBuf> {
    let dir = root.join("target/toolchains/schemathesis");
    let packages = dir.join("pip");
    once(&dir, REQUIREMENTS, "schemathesis", || {
        let list = dir.join("requirements.txt");
        fs::write(&list, REQUIREMENTS)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "-q", "--no-deps", "--target"])
            .arg(&packages)
            .arg("-r")
            .arg(&list);
        run_quietly(&mut pip).map(drop).context(
            "python3 (3.10 or newer) with pip is needed; on Debian: sudo apt-get install -y python3-pip",
        )
    })?;
    Ok(packages)
}

fn check(root: &Path, packages: &Path, args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::start(root, &folder.path().join("data"))?;
    // An agent whose name is asked for, so that not every answer about agents is 404.
    let guest = root.join("guests/prebuilt/echo-c.wasm");
    let mut deploy = Command::new(node::program(root));
    deploy.args(["agent", "deploy"]).arg(guest);
    deploy.args(["--name", "echo", "--data"]).arg(&node.data);
    run_quietly(&mut deploy)?;
    let token = fs::read_to_string(node.data.join("admin-token"))?;
    let config = folder.path().join("schemathesis.toml");
    fs::write(&config, CONFIG)?;
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", packages)
        .env("CAXTON_TOKEN", token.trim())
        .current_dir(folder.path())
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&config)
        .args(["run", "--no-color", "--seed", &args.seed.to_string()])
        .args(["--max-examples", &args.examples.to_string()])
        .arg("--url")
        .arg(&node.url)
        .arg(document(root)?)
        .stdin(Stdio::null());
    let status = command.status().context("cannot start python3")?;
    ensure!(node.lives()?, "the node ended while it was asked");
    ensure!(status.success(), "schemathesis: {status}");
    Ok(())
}

/// The document that the node serves; a test holds the file to it.
fn document(root: &Path) -> anyhow::Result<PathBuf> {
    let path = root.join("docs/api/openapi.json");
    ensure!(path.is_file(), "{} is missing", path.display());
    Ok(path)
}
