//! `guests.toml` says what there is to build, `guests.lock` what came out and with which tools.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// `guests/guests.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sources {
    pub(super) guest: Vec<Guest>,
}

/// One guest in one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guest {
    /// What it does; the same in every language.
    pub(super) name: String,
    /// `rust`, `c`, `assemblyscript` or `go`.
    pub(super) language: String,
    /// Which of the host's forms it must come out as: `A` to `G`.
    pub(super) form: String,
    /// Its folder, or its file for C; relative to `guests/`.
    pub(super) source: String,
    /// For C: `freestanding`, `reactor` or `command`.
    #[serde(default)]
    pub(super) model: Option<String>,
}

impl Guest {
    pub(super) fn id(&self) -> String {
        format!("{}-{}", self.name, self.language)
    }
    pub(super) fn file(&self) -> String {
        format!("{}.wasm", self.id())
    }
}

impl Sources {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("guests/guests.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// `guests/guests.lock`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    #[serde(default)]
    pub(super) guest: Vec<Entry>,
}

/// One committed binary.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// In `guests/prebuilt`.
    pub(super) file: String,
    pub(super) form: String,
    pub(super) language: String,
    pub(super) bytes: usize,
    pub(super) digest: String,
    /// The tools' names and versions.
    pub(super) fingerprint: String,
    /// The build, as one command.
    pub(super) recipe: String,
    /// The digest over all that it was built from.
    #[serde(default)]
    pub(super) inputs: String,
    /// Whether the host's test suite passed with these bytes; absent: it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) behaviour: Option<bool>,
}

impl Lock {
    /// Reads it; there may be none yet.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("guests/guests.lock");
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path)?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The entry of a file.
    pub(super) fn entry(&self, file: &str) -> Option<&Entry> {
        self.guest.iter().find(|entry| entry.file == file)
    }

    pub(super) fn write(&self, root: &Path) -> anyhow::Result<()> {
        let text = format!(
            "# Written by `cargo xtask guests`; `cargo xtask guests --check` compares.\n\n{}",
            toml::to_string(self)?
        );
        fs::write(root.join("guests/guests.lock"), text).context("guests/guests.lock")
    }
}
