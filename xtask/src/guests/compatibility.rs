//! `docs/compatibility.md`: which language with which tool gives which form, and whether it passed.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

use super::lock::Lock;

/// Writes the table from the lock.
pub(super) fn write(root: &Path, lock: &Lock) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("docs"))?;
    fs::write(root.join("docs/compatibility.md"), table(lock)?).context("docs/compatibility.md")
}

/// Compares the table with the lock.
pub(super) fn check(root: &Path, lock: &Lock) -> anyhow::Result<()> {
    let path = root.join("docs/compatibility.md");
    let there = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    anyhow::ensure!(
        there == table(lock)?,
        "docs/compatibility.md is not what guests.lock says; run `cargo xtask guests`"
    );
    Ok(())
}

fn table(lock: &Lock) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Compatibility\n\n\
         Written by `cargo xtask guests` from `guests/guests.lock`; do not edit.\n\
         Forms are those of the guest ABI: A agent, B and C processors, D WASI command, G extension.\n\
         *Passed* is what the host's own test found when it ran exactly these bytes, on both engines: \
         `cargo xtask guests` asks it and writes it down, `cargo xtask guests --check` asks again and \
         compares.\n\n\
         | language | tools | guest | form | bytes | passed |\n|---|---|---|---|--:|---|\n",
    );
    let mut entries: Vec<_> = lock.guest.iter().collect();
    entries.sort_by_key(|entry| (&entry.language, &entry.file));
    for entry in entries {
        let passed = match entry.behaviour {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not run",
        };
        writeln!(
            text,
            "| {} | {} | `{}` | {} | {} | {passed} |",
            entry.language, entry.fingerprint, entry.file, entry.form, entry.bytes
        )?;
    }
    text.push_str(
        "\nTinyGo builds the same Go sources by convention (`-target=wasip1 -buildmode=c-shared`); \
         it is not tested here.\n",
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{super::lock::Entry, *};

    #[test]
    fn a_guest_that_failed_stands_there_as_failed() {
        let entry = |behaviour| Entry {
            file: "echo-c.wasm".to_owned(),
            form: "A".to_owned(),
            language: "c".to_owned(),
            bytes: 7,
            digest: "sha256:00".to_owned(),
            fingerprint: "clang 14".to_owned(),
            recipe: "clang".to_owned(),
            inputs: String::new(),
            behaviour,
        };
        let row = |behaviour| {
            table(&Lock {
                guest: vec![entry(behaviour)],
            })
            .unwrap()
        };
        assert!(row(Some(false)).contains("| c | clang 14 | `echo-c.wasm` | A | 7 | **no** |"));
        assert!(row(None).contains("not run |"));
    }
}
