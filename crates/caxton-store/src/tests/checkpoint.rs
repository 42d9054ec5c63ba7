//! A checkpoint that is short, damaged or lost: found, built anew, or named.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use caxton_model::{AgentId, ErrorCode, StateWrite};

use super::sample::{Random, deployed, turn, verified, write};
use crate::{OpenError, Recovered, Store, StoreOptions};

const PATIENCE: Duration = Duration::from_secs(60);
const AGENTS: u64 = 4;
const KEYS: u64 = 60;
/// So large that the database has tables on disk, beside its own log.
const VALUE_BYTES: usize = 100_000;

fn options() -> StoreOptions {
    StoreOptions {
        segment_bytes: 8 << 20,
        checkpoint_every: Duration::from_millis(20),
        ..StoreOptions::default()
    }
}

fn key(number: u64) -> String {
    format!("key-{number:03}")
}

/// No two are equal, and none is easily compressed.
fn value(agent: u64, number: u64) -> Vec<u8> {
    let mut random = Random(agent << 32 | number);
    (0..VALUE_BYTES / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect()
}

fn stored(agent: u64, number: u64) -> StateWrite {
    StateWrite {
        key: key(number).as_bytes().into(),
        value: Some(value(agent, number).into()),
    }
}

/// A closed directory of some agents, each with some values.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options()).unwrap();
    let mut seq = 0;
    let mut next = || {
        seq += 1;
        seq
    };
    for agent in 1..=AGENTS {
        store.append(Arc::new(deployed(0, next(), agent)));
    }
    for number in 0..KEYS {
        for agent in 1..=AGENTS {
            let writes = vec![stored(agent, number)];
            store.append(Arc::new(turn(0, next(), agent, writes)));
        }
        if number % 20 == 19 {
            wait_for_checkpoint(&store);
        }
    }
    store.close();
    dir
}

fn wait_for_checkpoint(store: &Store) {
    let (tell, told) = channel();
    store.notify(move |result| tell.send(result).unwrap());
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(())));
    let until = Instant::now() + PATIENCE;
    while store.checkpointed_place() < store.metrics().place {
        assert!(Instant::now() < until, "no checkpoint came");
        std::thread::yield_now();
    }
}

#[track_caller]
fn assert_whole(store: &Store, what: &str) {
    for agent in 1..=AGENTS {
        let keys = store.keys(AgentId(agent), None, usize::MAX).unwrap();
        assert_eq!(keys.len() as u64, KEYS, "{what}");
        for number in 0..KEYS {
            let found = store.read(AgentId(agent), key(number).as_bytes());
            let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(found == Some(value(agent, number)), "{what}: another value");
        }
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The checkpoint's files, within a data directory.
pub(super) fn checkpoint_files(dir: &Path) -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(&dir.join("checkpoint"), &mut files);
    files.sort_unstable();
    files
        .into_iter()
        .map(|path| path.strip_prefix(dir).unwrap().to_owned())
        .collect()
}

pub(super) fn damaged(dir: &Path, damage: impl FnOnce(&Path)) -> tempfile::TempDir {
    let after = tempfile::tempdir().unwrap();
    copy(dir, after.path());
    damage(after.path());
    after
}

fn open(dir: &Path, what: &str) -> (Store, Recovered) {
    Store::open(dir, options()).unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[test]
fn a_checkpoint_without_any_one_of_its_files_is_whole_again_after_a_start() {
    let dir = filled();
    let files = checkpoint_files(dir.path());
    assert!(files.iter().any(|path| path.ends_with("2/current")));
    assert!(
        files
            .iter()
            .any(|path| path.parent().unwrap().ends_with("2/tables")),
        "{files:?}"
    );
    let mut rebuilt = 0;
    for file in &files {
        let what = format!("without {}", file.display());
        let after = damaged(dir.path(), |dir| fs::remove_file(dir.join(file)).unwrap());
        let report = verified(after.path());
        let (store, recovered) = open(after.path(), &what);
        assert_whole(&store, &what);
        assert_eq!(recovered.state.agents.len() as u64, AGENTS, "{what}");
        // What the start mends, `verify` has found.
        let is_mended = recovered
            .notices
            .iter()
            .any(|notice| notice.contains("rebuilt"));
        assert_eq!(
            report.is_good(),
            !is_mended,
            "{what}: {recovered:?} {report:?}"
        );
        rebuilt += usize::from(is_mended);
        store.close();
        assert!(verified(after.path()).is_good(), "{what}");
    }
    assert!(rebuilt >= 3, "{rebuilt} of {files:?}");
}

#[test]
fn a_bit_flipped_anywhere_in_the_checkpoint_changes_nothing_that_is_read() {
    let dir = filled();
    let files = checkpoint_files(dir.path());
    let mut random = Random(11);
    for _ in 0..24 {
        let file = &files[random.below(files.len() as u64) as usize];
        let mut bytes = fs::read(dir.path().join(file)).unwrap();
        let Some(used) = bytes.iter().rposition(|byte| *byte != 0) else {
            continue;
        };
        let at = random.below(used as u64 + 1) as usize;
        bytes[at] ^= 1 << random.below(8);
        let what = format!("{} byte {at}", file.display());
        let after = damaged(dir.path(), |dir| fs::write(dir.join(file), &bytes).unwrap());
        let (store, recovered) = open(after.path(), &what);
        assert_whole(&store, &what);
        assert_eq!(recovered.state.agents.len() as u64, AGENTS, "{what}");
    }
}

#[test]
fn a_checkpoint_that_is_cut_short_is_whole_again_after_a_start() {
    let dir = filled();
    for file in &checkpoint_files(dir.path()) {
        let bytes = fs::read(dir.path().join(file)).unwrap();
        let what = format!("half of {}", file.display());
        let after = damaged(dir.path(), |dir| {
            fs::write(dir.join(file), &bytes[..bytes.len() / 2]).unwrap();
        });
        let (store, _) = open(after.path(), &what);
        assert_whole(&store, &what);
    }
}

#[test]
fn where_the_journal_does_not_reach_back_the_start_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let few = StoreOptions {
        segment_bytes: 1 << 20,
        journal_bytes_max: 4 << 20,
        ..options()
    };
    let (store, _) = Store::open(dir.path(), few).unwrap();
    store.append(Arc::new(deployed(0, 1, 1)));
    for number in 0..KEYS * 2 {
        let writes = vec![stored(1, number)];
        store.append(Arc::new(turn(0, number + 2, 1, writes)));
        wait_for_checkpoint(&store);
    }
    store.close();
    let report = verified(dir.path());
    assert!(report.is_good() && report.begins > 1, "{report:?}");
    assert_eq!(report.checkpoint_place, Some(KEYS * 2 + 1));
    let current = dir.path().join("checkpoint/keyspaces/2/current");
    let bytes = fs::read(&current).unwrap();
    fs::remove_file(&current).unwrap();
    let report = verified(dir.path());
    let what = report.checkpoint_damage.clone().unwrap();
    assert!(!report.is_good() && what.contains("`values`"), "{what}");
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::CheckpointLost { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::JournalDamaged);
    assert!(error.to_string().contains("`values`"), "{error}");
    drop(bytes);
}

#[test]
fn damage_that_a_reader_meets_is_mended_while_the_node_runs() {
    let dir = filled();
    let unread = StoreOptions {
        // As for a checkpoint that is too large to be read at the start.
        open_check_bytes: 0,
        ..options()
    };
    let (store, _) = Store::open(dir.path(), unread).unwrap();
    let tables = checkpoint_files(dir.path());
    let tables = tables
        .iter()
        .filter(|path| path.parent().unwrap().ends_with("2/tables"));
    let mut flipped = 0;
    for table in tables {
        let path = dir.path().join(table);
        let mut bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(50_000) {
            bytes[at] ^= 1;
        }
        fs::write(path, bytes).unwrap();
        flipped += 1;
    }
    assert!(flipped > 0);
    assert_whole(&store, "flipped under a running store");
    assert_eq!(store.damage(), None);
    store.close();
    assert!(verified(dir.path()).is_good());
}

#[test]
fn what_is_removed_and_written_again_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options()).unwrap();
    store.append(Arc::new(deployed(0, 1, 1)));
    store.append(Arc::new(deployed(0, 2, 2)));
    for seq in 3..50 {
        let agent = 1 + seq % 2;
        let mut one = write(&key(seq % 5), &format!("{seq}"));
        if seq % 7 == 0 {
            one.value = None;
        }
        store.append(Arc::new(turn(0, seq, agent, vec![one])));
        if seq % 10 == 0 {
            wait_for_checkpoint(&store);
        }
    }
    wait_for_checkpoint(&store);
    let removed = caxton_model::Record::Removed {
        agent: AgentId(2),
        sent: Vec::new(),
    };
    store.append(Arc::new(caxton_model::Entry {
        record: removed,
        ..deployed(0, 50, 2)
    }));
    wait_for_checkpoint(&store);
    assert!(store.keys(AgentId(2), None, 9).unwrap().is_empty());
    store.close();
    let report = verified(dir.path());
    assert_eq!(
        (report.checkpoint_damage, report.checkpoint_place),
        (None, Some(50))
    );
    let (_, recovered) = open(dir.path(), "closed");
    assert_eq!((recovered.notices.len(), recovered.replayed), (0, 0));
}
