//! Builds the guests from source, keeps the committed ones honest, and writes what runs where.
//!
//! The demo and the tests run committed binaries, so that they need no guest toolchain. This chore
//! rebuilds those binaries, or with `--check` proves that the sources still give them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::{root, toolchains::Toolchains};

mod behaviour;
mod build;
mod compatibility;
mod form;
mod lock;
mod own_tests;
mod stage;
mod templates;

use lock::{Entry, Guest, Lock, Sources};

/// Build the guests, or check the committed ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build elsewhere and compare with what is committed, change nothing; without names, run the
    /// guests' own tests and try the templates too.
    #[arg(long)]
    check: bool,
    /// Instead: lay out every project template, run its tests and build it.
    #[arg(long)]
    templates: bool,
    /// Only these guests, as `NAME-LANGUAGE` or NAME; all if none is named.
    names: Vec<String>,
}

/// Does it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = root();
    let sources = Sources::read(&root)?;
    if args.templates {
        return templates::try_all(&root);
    }
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
    let into = root.join(if args.check {
        "target/guests/check"
    } else {
        "guests/prebuilt"
    });
    if args.check && into.exists() {
        fs::remove_dir_all(&into)?;
    }
    fs::create_dir_all(&into)?;
    let built = build_all(&root, &chosen, &into)?;
    if !args.check {
        return keep(&root, &sources, built);
    }
    check(&root, &built, &into)?;
    if args.names.is_empty() {
        own_tests::run_all(&root)?;
        templates::try_all(&root)?;
    }
    Ok(())
}

/// Builds each guest and validates it: a file of that name, of that form.
fn build_all(root: &Path, guests: &[&Guest], into: &Path) -> anyhow::Result<Vec<Entry>> {
    let toolchains = Toolchains::of(root)?;
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
                behaviour: None,
            })
        })
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
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

/// Compares what was built with what is committed.
///
/// Equal tools must give equal bytes. Other tools may not: then behaviour alone can be compared. All
/// rebuilt files are run by the host's own test, and the table must say what it finds.
fn check(root: &Path, built: &[Entry], folder: &Path) -> anyhow::Result<()> {
    let lock = Lock::read(root)?;
    let mut wrong = Vec::new();
    for entry in built {
        let committed = lock.guest.iter().find(|old| old.file == entry.file);
        let on_disk = fs::read(root.join("guests/prebuilt").join(&entry.file)).ok();
        let verdict = match committed {
            None => Err("not in guests.lock"),
            Some(old) if on_disk.as_deref().map(digest).as_ref() != Some(&old.digest) => {
                Err("the committed file is not the one in guests.lock")
            }
            Some(old) if old.digest == entry.digest => Ok("digest equal"),
            Some(old) if old.fingerprint == entry.fingerprint => {
                Err("same tools, other bytes: the source changed; run `cargo xtask guests`")
            }
            Some(_) => Ok("fingerprint differs: compared by behaviour"),
        };
        let (text, is_wrong) = match verdict {
            Ok(text) => (text, false),
            Err(text) => (text, true),
        };
        println!("{:40} {text}", entry.file);
        if is_wrong {
            wrong.push(format!("{}: {text}", entry.file));
        }
    }
    let found = behaviour::ask_host(root, folder)?;
    wrong.extend(behaviour::wrong(&lock, built, &found));
    compatibility::check(root, &lock)?;
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{} guests were rebuilt, and not all is right:\n{}",
        built.len(),
        wrong.join("\n")
    )
}
