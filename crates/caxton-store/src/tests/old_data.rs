//! Data directories that earlier formats were written in: each opens with everything in it.

use std::{fmt::Write as _, path::Path, process::Command};

use caxton_model::State;
use expect_test::{ExpectFile, expect_file};
use tempfile::TempDir;

use crate::{
    Recovered, Store, StoreOptions, checkpoint::Loading, decode_entry, form::decode, v1, verify,
};

/// Unpacks an archive of `tests/data` and opens what is in it.
fn open(name: &str) -> (TempDir, Store, Recovered) {
    let home = tempfile::tempdir().unwrap();
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archives.join(format!("format-{name}.tar.gz")))
        .args(["--strip-components=1", "-C"])
        .arg(home.path())
        .status()
        .unwrap();
    assert!(status.success(), "tar can't unpack {name}");
    verify(home.path()).unwrap();
    let (store, recovered) = Store::open(home.path(), StoreOptions::default()).unwrap();
    // Those versions left the directory open to others.
    let said = |notice: &String| !notice.contains("other users had rights");
    assert_eq!(recovered.notices.iter().find(|notice| said(notice)), None);
    (home, store, recovered)
}

/// What was read of a format when its directories were made.
fn expected(name: &str) -> ExpectFile {
    expect_file![format!("../../tests/data/format-{name}")]
}

/// All of a state, a line for each thing in it.
fn text(state: &State) -> String {
    let mut lines = Vec::new();
    lines.extend(state.agents.iter().map(|pair| format!("agent {pair:?}")));
    lines.extend(state.clients.iter().map(|pair| format!("client {pair:?}")));
    lines.extend(
        state
            .dead
            .iter()
            .map(|pair| format!("dead letter {pair:?}")),
    );
    lines.extend(
        state
            .posts
            .iter()
            .map(|pair| format!("message id {pair:?}")),
    );
    lines.extend(
        state
            .open
            .iter()
            .map(|pair| format!("open request {pair:?}")),
    );
    lines.extend(state.held.iter().map(|pair| format!("held {pair:?}")));
    lines.extend(
        state
            .migrating
            .iter()
            .map(|pair| format!("migrating {pair:?}")),
    );
    lines.extend(state.granted.iter().map(|pair| format!("granted {pair:?}")));
    lines.extend(
        state
            .accesses
            .iter()
            .map(|pair| format!("accesses {pair:?}")),
    );
    let processors = state.processors.iter();
    lines.extend(processors.map(|pair| format!("processor {pair:?}")));
    lines.extend(state.tables.iter().map(|pair| format!("table {pair:?}")));
    let conversations = state.conversations.iter();
    lines.extend(conversations.map(|pair| format!("conversation {pair:?}")));
    let subscriptions = state.df_subscriptions.iter();
    lines.extend(subscriptions.map(|wish| format!("directory subscription {wish:?}")));
    lines.sort();
    let mut text = lines.join("\n");
    let _ = writeln!(text, "\nlast records {:?}", state.seqs);
    text
}

/// Opens a directory of a format that was stopped after a checkpoint.
fn reads_all(format: u32) {
    let (home, store, recovered) = open(&format!("{format}-all"));
    assert_eq!(recovered.replayed, 0, "it was stopped after a checkpoint");
    let last = crate::show(home.path(), crate::ShowFilter::default()).unwrap();
    let last = last.map(|record| record.unwrap().1.at).max();
    assert_eq!(Some(recovered.newest), last, "time goes on from there");
    expected(&format!("{format}-all.txt")).assert_eq(&text(&recovered.state));
    let counter = recovered.state.agents.values();
    let counter = counter
        .map(|agent| &agent.spec)
        .find(|spec| spec.name.as_str() == "counter");
    let keys = store.keys(counter.unwrap().id, None, 10).unwrap();
    assert_eq!(keys.len(), 1);
    store.close();
}

fn reads_all_from_the_journal(format: u32) {
    let (home, store, _) = open(&format!("{format}-all"));
    store.close();
    drop(store);
    std::fs::remove_dir_all(home.path().join("checkpoint")).unwrap();
    let (_, recovered) = Store::open(home.path(), StoreOptions::default()).unwrap();
    assert_eq!(recovered.replayed, recovered.place);
    expected(&format!("{format}-all-from-journal.txt")).assert_eq(&text(&recovered.state));
}

fn reads_what_a_kill_left(format: u32) {
    let (_home, store, recovered) = open(&format!("{format}-killed"));
    assert!(recovered.replayed > 0, "the checkpoint was behind");
    expected(&format!("{format}-killed.txt")).assert_eq(&text(&recovered.state));
    store.close();
}

fn reads_the_bytes_of_each_record(format: u32, listing: &str) {
    let mut text = String::new();
    for (title, body) in blocks(listing) {
        let entry = decode_entry(&body).unwrap_or_else(|error| panic!("{title}: {error}"));
        let _ = writeln!(text, "{entry:?}");
    }
    expected(&format!("{format}-records.txt")).assert_eq(&text);
}

fn reads_the_bytes_of_each_part(format: u32, listing: &str) {
    let mut loading = Loading::default();
    let listing = blocks(listing);
    for pair in listing.chunks(2) {
        let [(title, key), (_, value)] = pair else {
            panic!("a key without a value");
        };
        loading
            .take(key, value)
            .unwrap_or_else(|error| panic!("{title}: {error}"));
    }
    let state = loading.finish(None).unwrap().0;
    let mut read = text(&state);
    let _ = writeln!(
        read,
        "spent {:?} {:?}",
        state.spent.blocks, state.spent.until
    );
    expected(&format!("{format}-parts.txt")).assert_eq(&read);
}

#[test]
fn everything_in_a_directory_of_an_earlier_format_is_read() {
    reads_all(1);
    reads_all(2);
    reads_all(3);
    reads_all(4);
}

#[test]
fn everything_in_a_directory_of_an_earlier_format_is_read_from_its_journal_alone() {
    // But that a request is watched for at most 7 days, which a checkpoint of format 1 does not say.
    reads_all_from_the_journal(1);
    reads_all_from_the_journal(2);
    reads_all_from_the_journal(3);
    reads_all_from_the_journal(4);
}

#[test]
fn a_directory_of_an_earlier_format_that_a_kill_left_is_read() {
    reads_what_a_kill_left(1);
    reads_what_a_kill_left(2);
    reads_what_a_kill_left(3);
    reads_what_a_kill_left(4);
}

/// The bytes of a listing such as `docs/specs/journal-records.txt`: each block's title, and its bytes.
fn blocks(listing: &str) -> Vec<(&str, Vec<u8>)> {
    let blocks = listing
        .split("\n\n")
        .map(str::trim)
        .filter(|b| !b.is_empty());
    blocks
        .map(|block| {
            let (title, rows) = block.split_once('\n').unwrap();
            let digits = rows.lines().flat_map(|row| row.split_whitespace().skip(1));
            let bytes = digits.map(|byte| u8::from_str_radix(byte, 16).unwrap());
            (title, bytes.collect())
        })
        .collect()
}

#[test]
fn the_bytes_of_each_record_of_an_earlier_format_are_read() {
    reads_the_bytes_of_each_record(1, include_str!("../../tests/data/format-1-records.hex"));
    reads_the_bytes_of_each_record(2, include_str!("../../tests/data/format-2-records.hex"));
    reads_the_bytes_of_each_record(3, include_str!("../../tests/data/format-3-records.hex"));
    reads_the_bytes_of_each_record(4, include_str!("../../tests/data/format-4-records.hex"));
}

#[test]
fn the_bytes_of_each_part_of_an_earlier_format_are_read() {
    reads_the_bytes_of_each_part(1, include_str!("../../tests/data/format-1-parts.hex"));
    reads_the_bytes_of_each_part(2, include_str!("../../tests/data/format-2-parts.hex"));
    reads_the_bytes_of_each_part(3, include_str!("../../tests/data/format-3-parts.hex"));
    reads_the_bytes_of_each_part(4, include_str!("../../tests/data/format-4-parts.hex"));
}

#[test]
fn every_word_that_format_1_can_hold_is_read() {
    for (form, word) in include_str!("../../tests/data/format-1-words.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
    {
        let bytes = postcard::to_stdvec(word).unwrap();
        let read = match form {
            "code" => decode::<v1::ErrorCode>(&bytes).map(|code| code.to_string()),
            "performative" => decode::<v1::Performative>(&bytes).map(|act| act.to_string()),
            "name" => decode::<v1::AgentName>(&bytes).map(|name| name.to_string()),
            other => panic!("no form `{other}`"),
        };
        assert_eq!(read.as_deref(), Ok(word));
    }
}
