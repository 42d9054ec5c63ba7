//! Schemathesis against a node: what the OpenAPI document promises, held against what is served.
//!
//! It comes from PyPI, pinned with all it needs, because its seed means the same only with the same
//! generator. The node runs in a throw-away directory on a free port of the loopback.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    step::Steps,
    toolchains::{had, once, run as run_quietly},
};

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

/// As a step of `cargo xtask test`: where it can't be installed, that is said, and is a failure in CI.
pub(crate) fn add(steps: &mut Steps, root: &Path, in_ci: bool) {
    steps.run("schemathesis", || {
        match had(install(root), "schemathesis", in_ci)? {
            Some(packages) => check(root, &packages, &Args::default()),
            None => Ok(()),
        }
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
    let mut deploy = Command::new(program(root));
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

fn program(root: &Path) -> PathBuf {
    root.join("target/release/caxton")
}

/// A node that ends when this is dropped.
struct Node {
    child: std::cell::RefCell<Child>,
    url: String,
    data: PathBuf,
}

impl Node {
    fn start(root: &Path, data: &Path) -> anyhow::Result<Self> {
        let program = program(root);
        let mut child = Command::new(&program)
            .args(["up", "--listen", "127.0.0.1:0", "--log", "error", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                let shown = program.display();
                format!("cannot start {shown}; build it with `cargo build --release`")
            })?;
        let stdout = child.stdout.take();
        let mut node = Self {
            child: child.into(),
            url: String::new(),
            data: data.to_owned(),
        };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().strip_prefix("listening on ") {
            Some(url) => node.url = url.to_owned(),
            None => bail!("the node did not start: `{}`", line.trim()),
        }
        Ok(node)
    }
    fn lives(&self) -> anyhow::Result<bool> {
        Ok(self.child.borrow_mut().try_wait()?.is_none())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // Either is an error only if it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}
