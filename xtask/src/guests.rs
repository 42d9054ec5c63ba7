//! Builds the guests from source, keeps the committed ones honest, and writes what runs where.
//!
//! The demo and the tests run committed binaries, so that they need no guest toolchain. `guests.lock`
//! has a digest over everything that each was built from. This chore builds them, or with `--check`
//! compares the digests and rebuilds what changed, and one guest of each language.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::{root, step::Steps, toolchains::Toolchains};

mod behaviour;
mod build;
mod check;
mod compatibility;
mod form;
mod inputs;
mod lock;
mod lowest_rust;
mod own_tests;
mod stage;
mod templates;

pub(crate) use check::add;
use lock::{Entry, Guest, Lock, Sources};

/// Build the guests, or check the committed ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compare with what is committed and change nothing: all digests, and a rebuild of what changed
    /// and of one guest of each language.
    #[arg(long)]
    check: bool,
    /// With `--check`: rebuild every guest and try every template.
    #[arg(long, requires = "check")]
    full: bool,
    /// Only these guests, as `NAME-LANGUAGE` or NAME; all if none is named.
    #[arg(conflicts_with = "check")]
    names: Vec<String>,
}

/// Does it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = root();
    if args.check {
        let mut steps = Steps::new(true);
        crate::toolchains::get_all(&mut steps, &root)?;
        add(&mut steps, &root, args.full)?;
        return steps.finish();
    }
    let sources = Sources::read(&root)?;
    let chosen: Vec<&Guest> = sources
        .guest
        .iter()
        .filter(|g| {
            args.names.is_empty() || args.names.contains(&g.name) || args.names.contains(&g.id())
        })
        .collect();
    if chosen.is_empty() {
        bail!(
            "no guest of guests/guests.toml has such a name: {}",
            args.names.join(", ")
        );
    }
    let into = root.join("guests/prebuilt");
    fs::create_dir_all(&into)?;
    let built = build_all(&root, &chosen, &into)?;
    keep(&root, &sources, built)
}

/// Builds each guest and validates it: a file of that name, of that form.
fn build_all(root: &Path, guests: &[&Guest], into: &Path) -> anyhow::Result<Vec<Entry>> {
    let toolchains = Toolchains::of(root)?;
    let inputs = inputs::Inputs::of_tree(root)?;
    let mut builder = build::Builder::new(root, &toolchains);
    guests
        .iter()
        .map(|guest| {
            let file = into.join(guest.file());
            let fingerprint = builder
                .build(guest, &file)
                .with_context(|| format!("building {}", guest.id()))?;
            let bytes = fs::read(&file)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
            form::check(&guest.form, &bytes).with_context(|| guest.id())?;
            println!(
                "{:32} form {}  {:>8} bytes",
                guest.id(),
                guest.form,
                bytes.len()
            );
            Ok(Entry {
                file: guest.file(),
                form: guest.form.clone(),
                language: guest.language.clone(),
                bytes: bytes.len(),
                digest: digest(&bytes),
                fingerprint,
                recipe: build::recipe(guest),
                inputs: inputs.of(guest)?,
                behaviour: None,
            })
        })
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the lock and the table, with what the host's test says of the files that are there now.
fn keep(root: &Path, sources: &Sources, built: Vec<Entry>) -> anyhow::Result<()> {
    let mut lock = Lock::read(root)?;
    for entry in built {
        lock.guest.retain(|old| old.file != entry.file);
        lock.guest.push(entry);
    }
    lock.guest
        .retain(|entry| sources.guest.iter().any(|guest| guest.file() == entry.file));
    lock.guest.sort_by(|a, b| a.file.cmp(&b.file));
    let found = behaviour::ask_host(root, &root.join("guests/prebuilt"))?;
    behaviour::note(&mut lock, &found);
    lock.write(root)?;
    compatibility::write(root, &lock)
}
