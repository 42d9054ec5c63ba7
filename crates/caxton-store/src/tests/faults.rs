//! A disk without room, a sync that fails, and a store that is closed while it waits.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use super::{
    journal::{assert_entries, open},
    sample::usual_turn,
};
use crate::{
    FaultyFiles, Health, StoreFailed, StoreOptions, WriteError, journal::Journal, queue::Queue,
};

const PATIENCE: Duration = Duration::from_secs(20);

type Told = Receiver<Result<(), StoreFailed>>;

fn notify(journal: &Journal) -> Told {
    let (tell, told) = channel();
    journal.notify(Box::new(move |result| tell.send(result).unwrap()));
    told
}

fn start(files: &FaultyFiles) -> (Arc<Journal>, Receiver<StoreFailed>) {
    let (tell, fatal) = channel();
    let tell = std::sync::Mutex::new(tell);
    let options = StoreOptions {
        on_fatal: Arc::new(move |failed| tell.lock().unwrap().send(failed.clone()).unwrap()),
        ..StoreOptions::default()
    };
    let writer = open(files).unwrap().0;
    let journal = Journal::start(writer, &options, Arc::new(Queue::new())).unwrap();
    (journal, fatal)
}

fn wait_for(what: impl Fn() -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    while !what() {
        assert!(std::time::Instant::now() < until, "it never came");
        std::thread::yield_now();
    }
}

#[test]
fn without_descriptors_turns_wait_and_the_journal_does_not_fail() {
    let files = FaultyFiles::default();
    let (journal, fatal) = start(&files);
    let entries: Vec<_> = (1..=60).map(|seq| Arc::new(usual_turn(seq))).collect();
    let (before, after) = entries.split_at(3);
    let mut told = Vec::new();
    let mut append = |entries: &[Arc<caxton_model::Entry>]| {
        for entry in entries {
            journal.append(Arc::clone(entry));
            told.push(notify(&journal));
        }
    };
    append(before);
    files.set_no_descriptors(true);
    append(after);
    // The open segment takes some more; the next one can't be created.
    wait_for(|| journal.health() == Health::NoDescriptors);
    assert!(fatal.try_recv().is_err());
    files.set_no_descriptors(false);
    for told in told {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(())));
    }
    assert_eq!(journal.health(), Health::Good);
    journal.close();
    assert_entries(&open(&files).unwrap().2, &entries);
    assert!(fatal.try_recv().is_err());
}

#[test]
fn without_room_nothing_is_lost_and_it_goes_on_when_there_is() {
    let files = FaultyFiles::default();
    let (journal, fatal) = start(&files);
    files.set_room(Some(files.used() + 5_000));
    let entries: Vec<_> = (1..=60).map(|seq| Arc::new(usual_turn(seq))).collect();
    let mut told = Vec::new();
    for entry in &entries {
        journal.append(Arc::clone(entry));
        told.push(notify(&journal));
    }
    wait_for(|| journal.health() == Health::Full);
    let acknowledged = told.iter().filter(|told| told.try_recv().is_ok()).count();
    assert!(acknowledged < entries.len());
    // What was acknowledged while it is full survives a kill.
    assert!(open(&files.copy()).unwrap().2.len() >= acknowledged);
    files.set_room(None);
    let last = notify(&journal);
    assert_eq!(last.recv_timeout(PATIENCE), Ok(Ok(())));
    wait_for(|| journal.health() == Health::Good);
    journal.close();
    assert_entries(&open(&files).unwrap().2, &entries);
    assert!(fatal.try_recv().is_err());
}

#[test]
fn a_store_that_is_closed_while_it_is_full_says_so_to_whoever_waits() {
    let files = FaultyFiles::default();
    let (journal, fatal) = start(&files);
    files.set_room(Some(files.used()));
    for seq in 1..=60 {
        journal.append(Arc::new(usual_turn(seq)));
    }
    let waits = notify(&journal);
    wait_for(|| journal.health() == Health::Full);
    journal.close();
    assert_eq!(waits.recv_timeout(PATIENCE), Ok(Err(StoreFailed::Closed)));
    let late = notify(&journal);
    assert_eq!(late.recv_timeout(PATIENCE), Ok(Err(StoreFailed::Closed)));
    assert!(fatal.try_recv().is_err());
}

#[test]
fn a_failed_sync_is_fatal_and_nobody_is_told_that_it_was_durable() {
    let files = FaultyFiles::default();
    let (journal, fatal) = start(&files);
    journal.append(Arc::new(usual_turn(1)));
    assert_eq!(notify(&journal).recv_timeout(PATIENCE), Ok(Ok(())));
    files.fail_syncs();
    journal.append(Arc::new(usual_turn(2)));
    let failed = notify(&journal)
        .recv_timeout(PATIENCE)
        .unwrap()
        .unwrap_err();
    assert!(failed.to_string().contains("syncing journal/"), "{failed}");
    assert_eq!(fatal.recv_timeout(PATIENCE), Ok(failed.clone()));
    assert_eq!(journal.health(), Health::Failed);
    // It stays failed, also when the disk is better.
    journal.append(Arc::new(usual_turn(3)));
    assert_eq!(notify(&journal).recv_timeout(PATIENCE), Ok(Err(failed)));
    journal.close();
    assert!(fatal.try_recv().is_err(), "it is told once");
}

#[test]
fn a_group_that_found_no_room_is_written_by_a_later_try() {
    let files = FaultyFiles::default();
    let (mut writer, _, _) = open(&files).unwrap();
    let mut all = Vec::new();
    for seq in 1..=100 {
        let entry = Arc::new(usual_turn(seq));
        writer.encode(&entry).unwrap();
        all.push(entry);
        files.set_room(Some(files.used()));
        if let Err(error) = writer.commit() {
            assert!(matches!(error, WriteError::Blocked { .. }), "{error}");
            assert_eq!(writer.place(), seq - 1);
            files.set_room(None);
            writer.commit().unwrap();
        }
        assert_eq!(writer.place(), seq);
    }
    assert_entries(&open(&files).unwrap().2, &all);
}

#[test]
fn a_notification_that_panics_does_not_stop_the_journal() {
    let files = FaultyFiles::default();
    let (journal, fatal) = start(&files);
    journal.append(Arc::new(usual_turn(1)));
    journal.notify(Box::new(|_| panic!("on purpose")));
    assert_eq!(notify(&journal).recv_timeout(PATIENCE), Ok(Ok(())));
    journal.close();
    assert!(fatal.try_recv().is_err());
}

#[test]
fn many_records_share_one_sync() {
    let files = FaultyFiles::default();
    let writer = open(&files).unwrap().0;
    let before = files.syncs();
    let journal = {
        let options = StoreOptions::default();
        Journal::start(writer, &options, Arc::new(Queue::new())).unwrap()
    };
    let told: Vec<_> = (1..=2_000)
        .map(|seq| {
            journal.append(Arc::new(usual_turn(seq)));
            notify(&journal)
        })
        .collect();
    for told in told {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(())));
    }
    journal.close();
    // Segments are tiny here: each costs a few syncs of its own.
    let segments = files.names_now().len() as u64;
    assert!(files.syncs() - before < 1_000 + 3 * segments);
}
