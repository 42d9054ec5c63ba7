//! Every input that the fuzzer's corpora keep, through the very functions that the fuzzer calls.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says by panicking what went wrong"
)]

use std::{collections::BTreeSet, fs, path::PathBuf};

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

#[test]
fn every_input_of_every_corpus_keeps_its_parsers_word() {
    for (name, check) in targets::ALL {
        let folder = corpora().join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 5, "{name} has hardly any corpus");
        for file in &files {
            let bytes = fs::read(file).unwrap();
            let checked = std::panic::catch_unwind(|| check(&bytes));
            assert!(
                checked.is_ok(),
                "{name} broke its word on {}",
                file.display()
            );
        }
        println!("{name}: {} inputs", files.len());
    }
}

#[test]
fn each_corpus_has_its_target() {
    let folders: BTreeSet<String> = fs::read_dir(corpora())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = targets::ALL
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(folders, names);
}
