//! The digest over everything that a guest is built from: sources, lock files, tool pins, recipe.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::{build, hex, lock::Guest, stage};

/// What guests of one tree are built from.
pub(super) struct Inputs {
    root: PathBuf,
    /// The copy that Rust guests are built from.
    stage: PathBuf,
    pins: toml::Table,
}

impl Inputs {
    /// Reads what all guests share.
    pub(super) fn of_tree(root: &Path) -> anyhow::Result<Self> {
        let pins = root.join("guests/toolchains.toml");
        let text = fs::read_to_string(&pins).with_context(|| pins.display().to_string())?;
        Ok(Self {
            root: root.to_owned(),
            stage: stage::stage(root)?,
            pins: text.parse().with_context(|| pins.display().to_string())?,
        })
    }

    /// The digest of one guest's inputs.
    pub(super) fn of(&self, guest: &Guest) -> anyhow::Result<String> {
        let mut sha = Sha256::new();
        add(&mut sha, "recipe", build::recipe(guest).as_bytes());
        for tool in build::tools(&guest.language) {
            let pin = self.pins.get(*tool).map(toml::Value::to_string);
            add(&mut sha, tool, pin.unwrap_or_default().as_bytes());
        }
        let sources = match guest.language.as_str() {
            "rust" => {
                // The linker is that of the active toolchain.
                add_tree(&mut sha, &self.root, Path::new("rust-toolchain.toml"))?;
                for part in ["Cargo.toml", "Cargo.lock", "crates"] {
                    add_tree(&mut sha, &self.stage, Path::new(part))?;
                }
                return self.finish(sha, &self.stage, &Path::new("guests").join(&guest.source));
            }
            language => self.root.join("sdk").join(language),
        };
        add_tree(&mut sha, &sources, Path::new(""))?;
        // A source that is a file has others beside it that it may include.
        let source = Path::new("guests").join(&guest.source);
        let is_file = self.root.join(&source).is_file();
        let folder = source.parent().filter(|_| is_file).unwrap_or(&source);
        self.finish(sha, &self.root, folder)
    }

    fn finish(&self, mut sha: Sha256, base: &Path, folder: &Path) -> anyhow::Result<String> {
        add_tree(&mut sha, base, folder)?;
        Ok(format!("sha256:{}", hex(&sha.finalize())))
    }
}

/// Adds a file, or a folder's files by name, so that the order of the directory does not matter.
fn add_tree(sha: &mut Sha256, base: &Path, path: &Path) -> anyhow::Result<()> {
    let full = base.join(path);
    if full.is_file() {
        let bytes = fs::read(&full).with_context(|| full.display().to_string())?;
        add(sha, &path.display().to_string(), &bytes);
        return Ok(());
    }
    let entries = fs::read_dir(&full).with_context(|| full.display().to_string())?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        if name != "target" && name != "node_modules" {
            add_tree(sha, base, &path.join(name))?;
        }
    }
    Ok(())
}

/// Adds one named part. Lengths keep the border between parts from being moved.
fn add(sha: &mut Sha256, name: &str, bytes: &[u8]) {
    for part in [name.as_bytes(), bytes] {
        sha.update(part.len().to_le_bytes());
        sha.update(part);
    }
}
