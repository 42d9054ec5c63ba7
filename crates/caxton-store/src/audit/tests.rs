//! Tests of the audit log.

mod crash;
mod format;
mod live;
mod tamper;

use std::{sync::Arc, time::Duration};

use caxton_model::{
    AuditAction, AuditOutcome, AuditRecord, AuditSubject, AuditSubjectKind, Permission, Timestamp,
};

use super::{
    AuditFound, AuditOptions, AuditReport, NodeKey, Shared, SignedHead, open_log,
    scribe::AuditScribe, verify::verify_audit_files,
};
use crate::{FaultyFiles, Files, OpenError, StoreFailed, queue::Taken, scribe::Step};

type Opened = (Arc<Shared>, AuditScribe, AuditFound);

/// A small xorshift generator, so that each run does the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn key() -> NodeKey {
    NodeKey::from_seed([3; 32]).unwrap()
}

fn options() -> AuditOptions {
    AuditOptions {
        segment_bytes: 4 << 10,
        log_id: Some([7; 32]),
        ..AuditOptions::default()
    }
}

fn record(number: u64) -> AuditRecord {
    let subject = AuditSubject {
        kind: AuditSubjectKind::Agent,
        name: format!("acme/agent-{}", number % 3),
        id: number.to_string(),
    };
    let action = AuditAction::ALL[number as usize % AuditAction::ALL.len()];
    let outcome = AuditOutcome::ALL[number as usize % AuditOutcome::ALL.len()];
    let at = Timestamp(1_700_000_000_000_000 + number as i64 * 1_000);
    let mut record = AuditRecord::new(at, subject, action, outcome).with("number", "x".repeat(9));
    record.permission = number.is_multiple_of(2).then_some(Permission::HttpRead);
    record.target = Some(format!("api.example/{number}"));
    record
}

fn open(disk: &FaultyFiles, options: &AuditOptions) -> Result<Opened, OpenError> {
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    open_log(&files, &files, key(), options)
}

/// Writes all that was appended; answers whether it is durable.
fn write(scribe: &mut AuditScribe) -> Result<bool, StoreFailed> {
    loop {
        if scribe.items.is_empty()
            && !scribe.is_full
            && scribe.take(Some(Duration::ZERO)) != Taken::Items
        {
            // What opening left to be kept.
            return scribe.step().map(|step| step == Step::Done);
        }
        if scribe.step()? == Step::Full {
            return Ok(false);
        }
    }
}

/// Appends records in groups whose sizes chance says.
fn fill((shared, scribe, _): &mut Opened, chance: &mut Chance, records: u64) {
    let first = shared.place.load(std::sync::atomic::Ordering::Relaxed);
    let mut left = records;
    while left > 0 {
        let group = (chance.below(6) + 1).min(left);
        for _ in 0..group {
            shared.append(record(first + records - left)).unwrap();
            left -= 1;
        }
        assert!(write(scribe).unwrap());
    }
    scribe.sync_heads().unwrap();
}

fn verify(disk: &FaultyFiles, given: &[SignedHead]) -> AuditReport {
    verify_audit_files(disk, disk, Some(key().public()), given).unwrap()
}
