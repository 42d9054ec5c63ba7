//! What the host itself says of guests: its own test runs them all and writes down which passed.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;

use super::lock::{Entry, Lock};
use crate::step::cargo_with;

/// Which guests passed, by file name.
pub(super) type Found = BTreeMap<String, bool>;

/// Lets the host's test run every guest of a folder. A guest that fails is found, not an error.
pub(super) fn ask_host(root: &Path, guests: &Path) -> anyhow::Result<Found> {
    let file = root.join("target/guests/behaviour.json");
    fs::create_dir_all(root.join("target/guests"))?;
    if file.exists() {
        fs::remove_file(&file)?;
    }
    let test = [
        "test",
        "--release",
        "--workspace",
        "--test",
        "it",
        "--",
        "--exact",
        "real::every_guest_behaves_on_both_engines",
    ];
    let paths = (guests.display().to_string(), file.display().to_string());
    let env = [
        ("CAXTON_TEST_GUESTS", paths.0.as_str()),
        ("CAXTON_TEST_BEHAVIOUR", paths.1.as_str()),
    ];
    let ran = cargo_with(root, &test, &env);
    match fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text).with_context(|| paths.1),
        // It never got as far as the guests.
        Err(error) => Err(ran.err().unwrap_or_else(|| error.into())),
    }
}

/// Takes the host's word for the committed guests into the lock.
pub(super) fn note(lock: &mut Lock, found: &Found) {
    for entry in &mut lock.guest {
        entry.behaviour = found.get(&entry.file).copied();
    }
}

/// What is wrong with what was found of rebuilt guests: one that fails, and one of the committed
/// bytes of which the lock says something else.
pub(super) fn wrong(lock: &Lock, built: &[Entry], found: &Found) -> Vec<String> {
    let mut wrong = Vec::new();
    for entry in built {
        let passed = found.get(&entry.file).copied();
        let committed = lock.entry(&entry.file);
        let same = committed.filter(|old| old.digest == entry.digest);
        if passed != Some(true) {
            wrong.push(format!("{}: the host's test fails", entry.file));
        } else if same.is_some_and(|old| old.behaviour != passed) {
            wrong.push(format!(
                "{}: passes, and guests.lock does not say so; run `cargo xtask guests`",
                entry.file
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: &str, behaviour: Option<bool>) -> Entry {
        Entry {
            file: "echo-c.wasm".to_owned(),
            form: "A".to_owned(),
            language: "c".to_owned(),
            bytes: 7,
            digest: digest.to_owned(),
            fingerprint: "clang 14".to_owned(),
            recipe: "clang".to_owned(),
            inputs: String::new(),
            behaviour,
        }
    }

    fn lock(behaviour: Option<bool>) -> Lock {
        Lock {
            guest: vec![entry("one", behaviour)],
        }
    }

    fn found(passed: bool) -> Found {
        BTreeMap::from([("echo-c.wasm".to_owned(), passed)])
    }

    #[test]
    fn a_guest_that_fails_or_was_not_run_is_wrong() {
        let built = [entry("one", None)];
        assert_eq!(wrong(&lock(Some(true)), &built, &found(true)), [""; 0]);
        let texts = wrong(&lock(Some(true)), &built, &found(false));
        assert!(texts[0].contains("fails"), "{texts:?}");
        let texts = wrong(&lock(Some(true)), &built, &Found::new());
        assert!(texts[0].contains("fails"), "{texts:?}");
    }

    #[test]
    fn what_the_lock_says_of_the_same_bytes_must_be_what_was_found() {
        let texts = wrong(&lock(None), &[entry("one", None)], &found(true));
        assert!(
            texts[0].contains("guests.lock does not say so"),
            "{texts:?}"
        );
        // Other bytes, of other tools: what was found counts for them alone.
        assert_eq!(
            wrong(&lock(None), &[entry("two", None)], &found(true)),
            [""; 0]
        );
    }

    #[test]
    fn what_was_found_replaces_what_the_lock_said() {
        let mut lock = lock(Some(true));
        note(&mut lock, &found(false));
        assert_eq!(lock.guest[0].behaviour, Some(false));
        note(&mut lock, &Found::new());
        assert_eq!(lock.guest[0].behaviour, None);
    }
}
