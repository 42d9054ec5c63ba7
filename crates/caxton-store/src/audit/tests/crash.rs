//! No moment of a crash leaves a log that does not verify; a full disk refuses and goes on.

use std::sync::atomic::Ordering;

use super::{Chance, open, options, record, verify, write};
use crate::{
    FaultyFiles, Health,
    audit::{AuditClosed, AuditOptions},
};

/// Writes until the disk stops; answers the last place that was called durable.
fn live(disk: &FaultyFiles) -> u64 {
    let options = AuditOptions {
        segment_bytes: 1 << 10,
        log_bytes_max: 3 << 10,
        ..options()
    };
    let Ok((shared, mut scribe, _)) = open(disk, &options) else {
        return 0;
    };
    for number in 0..40 {
        let _ = shared.append(record(number));
        if number % 3 == 0 && write(&mut scribe).is_err() {
            break;
        }
        if number % 7 == 0 && scribe.sync_heads().is_err() {
            break;
        }
    }
    shared.durable_place.load(Ordering::Acquire)
}

#[test]
fn no_moment_of_a_crash_leaves_a_log_that_does_not_verify() {
    let mut chance = Chance(7);
    for changes in 0.. {
        let disk = FaultyFiles::default();
        disk.crash_after(changes);
        let durable = live(&disk);
        let ended = !disk.has_crashed();
        let killed = disk.copy();
        let no_power = disk.after_power_loss(&mut || chance.below(2) == 0);
        for left in [killed, no_power] {
            let report = verify(&left, &[]);
            assert!(report.is_good(), "{changes}: {:?}", report.damage);
            let (shared, mut scribe, found) = open(&left, &options()).unwrap();
            assert!(found.place >= durable, "{changes}: {found:?}");
            assert_eq!(shared.append(record(99)).unwrap().0, found.place + 1);
            assert!(write(&mut scribe).unwrap());
            let report = verify(&left, &[shared.head()]);
            assert!(report.is_good(), "{changes}: {:?}", report.damage);
            assert_eq!(report.place, found.place + 1);
        }
        if ended {
            assert!(changes > 100, "{changes}");
            return;
        }
    }
}

#[test]
fn a_full_disk_refuses_records_at_once_and_takes_them_again_when_there_is_room() {
    let disk = FaultyFiles::default();
    let (shared, mut scribe, _) = open(&disk, &options()).unwrap();
    assert!(write(&mut scribe).unwrap());
    disk.set_room(Some(disk.used()));
    let mut appended = 0;
    while shared.health() == Health::Good {
        appended = shared.append(record(appended)).unwrap().0;
        let _ = write(&mut scribe).unwrap();
    }
    assert_eq!(shared.append(record(0)), Err(AuditClosed::DiskFull));
    assert!(!write(&mut scribe).unwrap(), "still full");
    disk.set_room(None);
    assert!(write(&mut scribe).unwrap());
    assert_eq!(shared.health(), Health::Good);
    assert_eq!(shared.append(record(0)).unwrap().0, appended + 1);
    assert!(write(&mut scribe).unwrap());
    let report = verify(&disk, &[shared.head()]);
    assert!(
        report.is_good() && report.records == appended + 1,
        "{report:?}"
    );
}

#[test]
fn a_queue_that_is_full_refuses_and_a_sync_that_fails_is_the_end() {
    let disk = FaultyFiles::default();
    let options = AuditOptions {
        queue_bytes_max: 2_000,
        ..options()
    };
    let (shared, mut scribe, _) = open(&disk, &options).unwrap();
    let mut appended = 0;
    let refused = loop {
        match shared.append(record(appended)) {
            Ok(_) => appended += 1,
            Err(refused) => break refused,
        }
    };
    assert!(
        matches!(refused, AuditClosed::Behind { max: 2_000, .. }),
        "{refused}"
    );
    assert!(appended > 2 && write(&mut scribe).unwrap());
    assert!(shared.append(record(0)).is_ok());
    disk.fail_syncs();
    let failed = write(&mut scribe).unwrap_err();
    let (tell, told) = std::sync::mpsc::channel();
    shared.notify(move |result| drop(tell.send(result)));
    shared.queue.close();
    scribe.fail(failed.clone());
    assert_eq!(told.recv().unwrap(), Err(failed.clone()));
    assert_eq!(shared.append(record(0)), Err(AuditClosed::Failed(failed)));
}
