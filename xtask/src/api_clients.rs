//! Clients of the API that ordinary generators make from its document: openapi-python-client, with
//! which a node is driven, and openapi-typescript, whose types are checked.
//!
//! Both are pinned with all they need. The node runs in a throw-away directory on a free port of the
//! loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    node::Node,
    step::Steps,
    toolchains::{Toolchains, once, run as run_quietly},
};

/// Its name among the tools.
const TOOL: &str = "generators of API clients";
/// openapi-python-client: every package with its version.
const REQUIREMENTS: &str = include_str!("api_clients/requirements.txt");
/// How it is run.
const CONFIG: &str = include_str!("api_clients/config.yml");
/// openapi-typescript and the compiler that checks what it makes.
const PACKAGE: &str = include_str!("api_clients/package.json");
/// The same with all they need.
const LOCK: &str = include_str!("api_clients/package-lock.json");
/// Drives a node with the generated client.
const DRIVE: &str = include_str!("api_clients/drive.py");
/// Fits only if the generated types are whole.
const CHECK: &str = include_str!("api_clients/check.ts");

/// Installs both; answers where.
pub(crate) fn get_tools(steps: &mut Steps, root: &Path) -> Option<PathBuf> {
    steps.get(TOOL, || install(root))
}

/// As a step of `cargo xtask test`, with what [`get_tools`] has installed.
pub(crate) fn add(steps: &mut Steps, root: &Path, installed: Option<&Path>) {
    steps.run_with("generated clients of the API", &[TOOL], || {
        check(root, installed.context("they were not installed")?)
    });
}

/// `cargo xtask api-clients`.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    check(root, &install(root)?)
}

fn install(root: &Path) -> anyhow::Result<PathBuf> {
    let node = Toolchains::of(root)?.node()?;
    let dir = root.join("target/toolchains/api-clients");
    let wanted = [REQUIREMENTS, LOCK].concat();
    once(&dir, &wanted, TOOL, || {
        let list = dir.join("requirements.txt");
        fs::write(&list, REQUIREMENTS)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "-q", "--no-deps", "--target"])
            .arg(dir.join("pip"))
            .arg("-r")
            .arg(&list);
        run_quietly(&mut pip).map(drop).context(
            "python3 (3.11 or newer) with pip is needed; on Debian: sudo apt-get install -y python3-pip",
        )?;
        fs::write(dir.join("package.json"), PACKAGE)?;
        fs::write(dir.join("package-lock.json"), LOCK)?;
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
        ])
        .current_dir(&dir);
        node.on_path_of(&mut npm)?;
        run_quietly(&mut npm).map(drop)
    })?;
    Ok(dir)
}

fn check(root: &Path, installed: &Path) -> anyhow::Result<()> {
    let document = root.join("docs/api/openapi.json");
    let folder = tempfile::tempdir()?;
    check_types(root, installed, &document)?;
    let client = generate(installed, &document, folder.path())?;
    let node = Node::start(root, &folder.path().join("data"))?;
    let token = fs::read_to_string(node.data.join("admin-token"))?;
    let script = folder.path().join("drive.py");
    fs::write(&script, DRIVE)?;
    let paths = std::env::join_paths([installed.join("pip"), client])?;
    let mut drive = Command::new("python3");
    drive
        .env("PYTHONPATH", paths)
        .env("CAXTON_TOKEN", token.trim())
        .arg(&script)
        .arg(&node.url)
        .arg(&document)
        .arg(root.join("guests/prebuilt/echo-c.wasm"));
    run_quietly(&mut drive)?;
    ensure!(node.lives()?, "the node ended while it was driven");
    Ok(())
}

/// Makes the client in Python; answers the folder with its package. Any warning is an error: the
/// generator warns of what it leaves out.
fn generate(installed: &Path, document: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let config = folder.join("config.yml");
    fs::write(&config, CONFIG)?;
    let clients = folder.join("clients");
    fs::create_dir(&clients)?;
    let mut generator = Command::new("python3");
    generator
        .env("PYTHONPATH", installed.join("pip"))
        .args(["-m", "openapi_python_client", "generate", "--meta", "none"])
        .args(["--fail-on-warning", "--config"])
        .arg(&config)
        .arg("--path")
        .arg(document)
        .arg("--output-path")
        .arg(clients.join("caxton"));
    run_quietly(&mut generator)?;
    Ok(clients)
}

/// Makes the types for TypeScript, and compiles what uses them.
fn check_types(root: &Path, installed: &Path, document: &Path) -> anyhow::Result<()> {
    let node = Toolchains::of(root)?.node()?;
    let modules = installed.join("node_modules");
    let mut generator = node.command();
    generator
        .arg(modules.join("openapi-typescript/bin/cli.js"))
        .arg(document)
        .arg("-o")
        .arg(installed.join("api.d.ts"));
    run_quietly(&mut generator)?;
    fs::write(installed.join("check.ts"), CHECK)?;
    let mut compiler = node.command();
    compiler
        .arg(modules.join("typescript/bin/tsc"))
        .args(["--noEmit", "--strict"])
        .arg(installed.join("check.ts"));
    run_quietly(&mut compiler).map(drop)
}
