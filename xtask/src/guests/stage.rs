//! Rust guests are built from a copy in which they and the SDK are one workspace.
//!
//! Cargo hashes the place of a package outside the workspace into its symbols, and the compiler
//! sorts by them: built from `guests/rust` alone, a guest would come out otherwise in every folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use toml::{Table, Value};

/// The crates that guests are built from, with what they depend on here.
pub(super) const CRATES: [&str; 3] = ["caxton-model", "caxton-sdk", "caxton-sdk-macros"];

/// Copies what is needed, and answers the folder to run cargo in.
pub(super) fn stage(root: &Path) -> anyhow::Result<PathBuf> {
    let stage = root.join("target/guests/stage");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    for name in CRATES {
        let folder = Path::new("crates").join(name);
        copy(&root.join(&folder), &stage.join(&folder))?;
        without_dev_dependencies(&stage.join(&folder).join("Cargo.toml"))?;
    }
    copy(&root.join("guests/rust"), &stage.join("guests/rust"))?;
    // Its flags come from the recipe, and the members' glob would take it for one.
    fs::remove_dir_all(stage.join("guests/rust/.cargo"))?;
    let guests = read(&stage.join("guests/rust/Cargo.toml"))?;
    fs::remove_file(stage.join("guests/rust/Cargo.toml"))?;
    fs::rename(
        stage.join("guests/rust/Cargo.lock"),
        stage.join("Cargo.lock"),
    )?;
    let manifest = manifest(&read(&root.join("Cargo.toml"))?, &guests)?;
    fs::write(stage.join("Cargo.toml"), manifest.to_string())?;
    Ok(stage)
}

/// The repository's own workspace with only these members, and the guests' profile.
fn manifest(root: &Table, guests: &Table) -> anyhow::Result<Table> {
    let whole = root
        .get("workspace")
        .and_then(Value::as_table)
        .context("no [workspace]")?;
    // What members inherit; the rest names crates that are not here.
    let mut workspace: Table = ["resolver", "package", "dependencies", "lints"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), whole.get(key)?.clone())))
        .collect();
    let members: Vec<Value> = CRATES
        .iter()
        .map(|name| format!("crates/{name}"))
        .chain(["guests/rust/*".to_owned()])
        .map(Value::String)
        .collect();
    workspace.insert("members".to_owned(), Value::Array(members));
    let profile = guests
        .get("profile")
        .cloned()
        .context("the guests have no [profile]")?;
    Ok(Table::from_iter([
        ("workspace".to_owned(), Value::Table(workspace)),
        ("profile".to_owned(), profile),
    ]))
}

/// Tests are not built here, and what they need is not in the guests' lock.
fn without_dev_dependencies(path: &Path) -> anyhow::Result<()> {
    let mut table = read(path)?;
    table.remove("dev-dependencies");
    fs::write(path, table.to_string())?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

/// Copies a folder, but for build results and tests.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let into = to.join(entry.file_name());
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), into)?;
        } else if !["target", "tests"]
            .iter()
            .any(|name| entry.file_name() == *name)
        {
            copy(&entry.path(), &into)?;
        }
    }
    Ok(())
}
