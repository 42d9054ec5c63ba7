//! The log with its thread, its key and its files; and how it is read.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use caxton_model::{AuditAction, Permission};

use super::{Chance, fill, open, options, record};
use crate::{
    FaultyFiles, OpenError,
    audit::{
        AuditLog, AuditOptions, AuditPlace, AuditQuery, AuditReader, SignedHead, verify_audit,
    },
};

#[test]
fn what_is_durable_is_there_again_and_a_lost_key_is_never_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log, found) = AuditLog::open(dir.path(), &AuditOptions::default()).unwrap();
    assert_eq!((found.place, found.begins, found.notices), (0, 1, vec![]));
    for number in 0..100 {
        assert_eq!(log.append(record(number)), Ok(AuditPlace(number + 1)));
    }
    let (tell, told) = mpsc::channel();
    log.notify(move |result| drop(tell.send(result)));
    assert_eq!(told.recv(), Ok(Ok(())));
    assert_eq!(
        (log.durable_place(), log.head().place),
        (AuditPlace(100), 100)
    );
    let kept = dir.path().join("kept-elsewhere");
    log.write_head(&kept).unwrap();
    let head = SignedHead::from_json(fs::read_to_string(&kept).unwrap().trim_end()).unwrap();
    assert_eq!(head, log.head());
    drop(log);

    let key = dir.path().join("node-key");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let report = verify_audit(dir.path(), std::slice::from_ref(&head)).unwrap();
    assert!(report.is_good() && report.notices.is_empty(), "{report:?}");
    let (log, found) = AuditLog::open(dir.path(), &AuditOptions::default()).unwrap();
    assert_eq!(
        (found.place, found.unsigned, found.notices),
        (100, 0, vec![])
    );
    assert_eq!(log.append(record(0)), Ok(AuditPlace(101)));
    drop(log);

    fs::remove_file(&key).unwrap();
    let refused = AuditLog::open(dir.path(), &AuditOptions::default()).unwrap_err();
    assert!(
        matches!(refused, OpenError::NodeKeyMissing { .. }),
        "{refused}"
    );
    assert!(!key.exists());
    assert!(verify_audit(dir.path(), &[head]).unwrap().is_good());
}

/// Nothing is asserted of the time: `cargo test -- --nocapture` prints it.
#[test]
fn appending_hands_over_and_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = AuditLog::open(dir.path(), &AuditOptions::default()).unwrap();
    let records: Vec<_> = (0..20_000).map(record).collect();
    let (mut taken, mut longest) = (Duration::ZERO, Duration::ZERO);
    for record in records {
        let start = Instant::now();
        log.append(record).unwrap();
        taken += start.elapsed();
        longest = longest.max(start.elapsed());
    }
    println!(
        "append: {} ns on average, {longest:?} at most",
        taken.as_nanos() / 20_000
    );
    log.close();
    assert_eq!(log.durable_place(), AuditPlace(20_000));
}

#[test]
fn records_are_found_by_what_they_say_page_by_page() {
    let disk = FaultyFiles::default();
    let mut log = open(&disk, &options()).unwrap();
    fill(&mut log, &mut Chance(8), 200);
    let reader = AuditReader::over(Arc::new(disk));
    let tail = reader.tail(3).unwrap();
    assert_eq!(
        tail.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
        [198, 199, 200]
    );
    assert_eq!(tail[2].1, record(199));
    assert_eq!(reader.tail(1_000).unwrap().len(), 200);

    let all = AuditQuery::default();
    let queries = [
        all.clone(),
        AuditQuery {
            action: Some(AuditAction::Login),
            ..all.clone()
        },
        AuditQuery {
            permission: Some(Permission::HttpRead),
            ..all.clone()
        },
        AuditQuery {
            outcome: Some(record(1).outcome),
            ..all.clone()
        },
        AuditQuery {
            subject: Some("acme/agent-1".to_owned()),
            ..all.clone()
        },
        AuditQuery {
            subject: Some("17".to_owned()),
            ..all.clone()
        },
        AuditQuery {
            text: Some("example/19".to_owned()),
            ..all.clone()
        },
        AuditQuery {
            from: Some(record(50).at),
            to: Some(record(60).at),
            ..all.clone()
        },
        AuditQuery {
            namespace: Some("acme".to_owned()),
            ..all
        },
    ];
    for (query, count) in queries.iter().zip([200, 6, 100, 40, 67, 1, 11, 11, 0]) {
        let (mut found, mut from) = (Vec::new(), Some(1));
        while let Some(place) = from {
            let page = reader.search(query, place, 7).unwrap();
            assert!(page.records.len() <= 7);
            found.extend(page.records);
            from = page.next;
        }
        let expected: Vec<_> = (1..=200)
            .map(|place| (place, record(place - 1)))
            .filter(|(_, record)| query.takes(record))
            .collect();
        assert_eq!(found, expected, "{query:?}");
        assert_eq!(found.len(), count, "{query:?}");
    }
}
