//! Checks the committed guests, as steps: digests of all, a rebuild of some or all.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{bail, ensure};

use super::{
    behaviour, build, build_all, compatibility, digest, inputs,
    lock::{Entry, Guest, Lock, Sources},
    lowest_rust, own_tests, templates,
};
use crate::step::Steps;

/// The languages that guests are written in.
const LANGUAGES: [&str; 4] = ["rust", "c", "assemblyscript", "go"];

/// Adds the steps. Guests whose inputs changed are rebuilt and one of each language; with `full` all.
pub(crate) fn add(steps: &mut Steps, root: &Path, full: bool) -> anyhow::Result<()> {
    let (sources, lock) = (Sources::read(root)?, Lock::read(root)?);
    let mut changed = BTreeSet::new();
    steps.run("guests: digests", || {
        changed = changed_inputs(root, &sources, &lock)?;
        committed_files(root, &sources, &lock)?;
        compatibility::check(root, &lock)
    });
    let folder = root.join("target/guests/check");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut built = Vec::new();
    for language in LANGUAGES {
        let chosen = chosen(&sources, language, &changed, full);
        let name = format!(
            "guests in {language}: {} rebuilt and compared",
            chosen.len()
        );
        steps.run_with(&name, build::tools(language), || {
            let entries = build_all(root, &chosen, &folder)?;
            let compared = compare(&lock, &entries);
            built.extend(entries);
            compared
        });
    }
    steps.run("guests: rebuilt ones behave as said", || {
        let found = behaviour::ask_host(root, &folder)?;
        let wrong = behaviour::wrong(&lock, &built, &found);
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
    steps.run_with("SDK with the lowest Rust", &["lowest rust"], || {
        lowest_rust::check(root)
    });
    steps.run("guests in Rust: their own tests", || own_tests::rust(root));
    steps.run_with("SDK for Go: its own tests", &["go"], || own_tests::go(root));
    templates::add(steps, root, full)
}

/// The guests of a language that are rebuilt.
fn chosen<'a>(
    sources: &'a Sources,
    language: &str,
    changed: &BTreeSet<String>,
    full: bool,
) -> Vec<&'a Guest> {
    let all = sources
        .guest
        .iter()
        .filter(|guest| guest.language == language);
    all.enumerate()
        .filter(|(at, guest)| full || *at == 0 || changed.contains(&guest.file()))
        .map(|(_, guest)| guest)
        .collect()
}

/// The files of the guests whose inputs are not those that `guests.lock` has a digest of.
fn changed_inputs(root: &Path, sources: &Sources, lock: &Lock) -> anyhow::Result<BTreeSet<String>> {
    let inputs = inputs::Inputs::of_tree(root)?;
    let mut changed = BTreeSet::new();
    for guest in &sources.guest {
        let now = inputs.of(guest)?;
        if lock
            .entry(&guest.file())
            .is_none_or(|entry| entry.inputs != now)
        {
            println!("{:40} its inputs changed since it was built", guest.file());
            changed.insert(guest.file());
        }
    }
    Ok(changed)
}

/// Errors: a committed file is missing or is not the one in `guests.lock`, or nobody knows it.
fn committed_files(root: &Path, sources: &Sources, lock: &Lock) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for guest in &sources.guest {
        let file = guest.file();
        let bytes = fs::read(root.join("guests/prebuilt").join(&file)).ok();
        match lock.entry(&file) {
            None => wrong.push(format!("{file}: not in guests.lock")),
            Some(entry) if bytes.as_deref().map(digest).as_ref() != Some(&entry.digest) => {
                wrong.push(format!(
                    "{file}: the committed file is not the one in guests.lock"
                ));
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<String> = sources.guest.iter().map(Guest::file).collect();
    for entry in fs::read_dir(root.join("guests/prebuilt"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !known.contains(&name) {
            wrong.push(format!("{name}: no guest of guests.toml is built into it"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("run `cargo xtask guests`:\n{}", wrong.join("\n"))
}

/// Compares what was built with what is committed.
///
/// Equal tools must give equal bytes. Other tools may not: then the behaviour alone is compared, as
/// long as the inputs are those that the committed file was built from.
fn compare(lock: &Lock, built: &[Entry]) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for entry in built {
        let (text, is_wrong) = match lock.entry(&entry.file) {
            None => ("not in guests.lock", true),
            Some(old) if old.digest == entry.digest => ("digest equal", false),
            Some(old) if old.fingerprint == entry.fingerprint => {
                ("same tools, other bytes: the source changed", true)
            }
            Some(old) if old.inputs != entry.inputs => {
                ("other tools, and the source changed", true)
            }
            Some(_) => ("other tools: compared by behaviour", false),
        };
        println!("{:40} {text}", entry.file);
        if is_wrong {
            wrong.push(format!("{}: {text}", entry.file));
        }
    }
    ensure!(
        wrong.is_empty(),
        "run `cargo xtask guests`: {}",
        wrong.join("; ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: &str, tools: &str, inputs: &str) -> Entry {
        Entry {
            file: "echo-c.wasm".to_owned(),
            form: "A".to_owned(),
            language: "c".to_owned(),
            bytes: 7,
            digest: digest.to_owned(),
            fingerprint: tools.to_owned(),
            recipe: "clang".to_owned(),
            inputs: inputs.to_owned(),
            behaviour: Some(true),
        }
    }

    #[test]
    fn a_rebuilt_guest_must_be_the_committed_one_or_of_other_tools() {
        let lock = Lock {
            guest: vec![entry("one", "clang 14", "a")],
        };
        let judge = |digest, tools, inputs| compare(&lock, &[entry(digest, tools, inputs)]);
        judge("one", "clang 14", "a").unwrap();
        // A changed comment.
        judge("one", "clang 14", "b").unwrap();
        judge("two", "clang 15", "a").unwrap();
        for (tools, inputs, word) in [
            ("clang 14", "a", "same tools"),
            ("clang 14", "b", "same tools"),
            ("clang 15", "b", "other tools, and the source changed"),
        ] {
            let error = judge("two", tools, inputs).unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("cargo xtask guests"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_changed_is_rebuilt_and_one_of_each_language() {
        let root = crate::root();
        let sources = Sources::read(&root).unwrap();
        let ids = |changed: &BTreeSet<String>, full| -> Vec<String> {
            LANGUAGES
                .iter()
                .flat_map(|language| chosen(&sources, language, changed, full))
                .map(Guest::id)
                .collect()
        };
        assert_eq!(ids(&BTreeSet::new(), false).len(), LANGUAGES.len());
        let changed = BTreeSet::from(["timer-c.wasm".to_owned()]);
        assert!(ids(&changed, false).contains(&"timer-c".to_owned()));
        assert_eq!(ids(&changed, false).len(), LANGUAGES.len() + 1);
        assert_eq!(ids(&BTreeSet::new(), true).len(), sources.guest.len());
    }

    /// A copy of what the digests are made of, so that it can be changed.
    fn tree() -> tempfile::TempDir {
        let (root, copy) = (crate::root(), tempfile::tempdir().unwrap());
        for part in [
            "guests",
            "sdk",
            "crates/caxton-model",
            "crates/caxton-sdk",
            "crates/caxton-sdk-macros",
        ] {
            super::super::stage::copy(&root.join(part), &copy.path().join(part)).unwrap();
        }
        for file in ["Cargo.toml", "rust-toolchain.toml"] {
            fs::copy(root.join(file), copy.path().join(file)).unwrap();
        }
        copy
    }

    #[test]
    fn a_change_of_source_lock_or_pin_changes_the_digest_of_what_is_built_from_it() {
        let tree = tree();
        let root = tree.path();
        let sources = Sources::read(root).unwrap();
        let digests = || -> Vec<(String, String)> {
            let inputs = inputs::Inputs::of_tree(root).unwrap();
            let of = |guest: &Guest| (guest.id(), inputs.of(guest).unwrap());
            sources.guest.iter().map(of).collect()
        };
        let mut before = digests();
        assert_eq!(before, digests(), "the same tree has the same digests");
        for (file, what, changed) in [
            ("guests/rust/hello/src/lib.rs", "// more\n", "hello-rust"),
            ("crates/caxton-sdk/src/lib.rs", "// more\n", "-rust"),
            ("guests/rust/Cargo.lock", "# more\n", "-rust"),
            ("sdk/c/caxton.h", "// more\n", "-c"),
            ("guests/go/hello/main.go", "// more\n", "hello-go"),
            (
                "sdk/assemblyscript/caxton.ts",
                "// more\n",
                "-assemblyscript",
            ),
            ("guests/toolchains.toml", "more = 1\n", "-"),
        ] {
            let text = fs::read_to_string(root.join(file)).unwrap();
            fs::write(root.join(file), format!("{text}{what}")).unwrap();
            let after = digests();
            for (old, new) in before.iter().zip(&after) {
                // The last section of the pins is that of `wasm-opt`, which C and AssemblyScript do not use.
                let affected = match changed {
                    "-" => old.0.ends_with("-rust") || old.0.ends_with("-go"),
                    suffix => old.0.ends_with(suffix),
                };
                assert_eq!(old.1 != new.1, affected, "{file}: {}", old.0);
            }
            before = after;
        }
    }
}
