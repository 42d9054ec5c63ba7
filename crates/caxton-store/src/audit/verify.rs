//! Checks a whole audit log against its own bytes, the heads that the node kept, and heads that
//! somebody kept elsewhere; changes nothing, also beside a node that runs.

use std::{collections::BTreeSet, path::Path};

use caxton_model::Timestamp;

use super::{
    heads::HEADS_FOLDER,
    heads_of, in_audit,
    key::NodeKey,
    signed_head::{SignedHead, hex},
    v1::{AUDIT, AuditKind},
};
use crate::{
    Damage, Files, OpenError, RealFiles, TornTail,
    head::HEAD_FILE,
    log::Log,
    scan::{Listing, Mark, list},
};

/// How often a log that is being written is read again before what is found counts.
const TRIES: usize = 3;

/// What a check of an audit log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AuditReport {
    /// The log's id, as hex.
    pub log: String,
    /// The public key by which heads were checked, as hex; empty: there was none.
    pub key: String,
    /// The first record that is kept.
    pub begins: u64,
    /// The last good record.
    pub place: u64,
    /// Good records.
    pub records: u64,
    /// The chain behind the last good record, as hex.
    pub chain: String,
    /// The place of the newest signed head that the log was compared with.
    pub signed_place: u64,
    /// The timestamp of the last good record.
    pub newest: Timestamp,
    /// The first thing that is not as it was written.
    pub damage: Option<Damage>,
    /// The half-written end, which the next start cuts off (or which a node is just writing).
    pub torn: Option<TornTail>,
    /// Harmless things worth knowing, in words.
    pub notices: Vec<String>,
}

impl AuditReport {
    /// Whether every record can be read and the log fits every head.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.damage.is_none()
    }
}

/// Checks the audit log of a data directory. `heads` are signed heads that were kept elsewhere: only
/// they show that a whole directory was put back, or that log, heads and key were all made anew.
///
/// Errors: where files can't be read at all, or a newer program wrote them.
/// Cost: reads the whole log.
pub fn verify_audit(dir: &Path, heads: &[SignedHead]) -> Result<AuditReport, OpenError> {
    let key = NodeKey::read(dir)?.map(|key| key.public());
    let files = RealFiles::read_only(&dir.join(AUDIT.folder));
    let kept = RealFiles::read_only(&dir.join(HEADS_FOLDER));
    verify_audit_files(&files, &kept, key, heads)
}

/// The same over any file layer.
pub(crate) fn verify_audit_files(
    files: &dyn Files,
    kept: &dyn Files,
    key: Option<[u8; 32]>,
    given: &[SignedHead],
) -> Result<AuditReport, OpenError> {
    let mut report = verify_once(files, kept, key, given)?;
    for _ in 1..TRIES {
        // A node that writes, or trims its log, changes what is read.
        let Some(damage) = report.damage.clone() else {
            break;
        };
        report = verify_once(files, kept, key, given)?;
        if report.damage.as_ref() == Some(&damage) {
            break;
        }
    }
    Ok(report)
}

fn verify_once(
    files: &dyn Files,
    kept: &dyn Files,
    key: Option<[u8; 32]>,
    given: &[SignedHead],
) -> Result<AuditReport, OpenError> {
    let mut report = AuditReport::default();
    match fill(files, kept, key, given, &mut report).map_err(in_audit) {
        Err(OpenError::AuditDamaged(damage)) => report.damage = Some(damage),
        Err(other) => return Err(other),
        Ok(()) => {}
    }
    Ok(report)
}

fn damaged(file: &str, (place, last_place): (u64, u64), what: String) -> OpenError {
    OpenError::AuditDamaged(Damage {
        file: file.to_owned(),
        offset: 0,
        place,
        last_place,
        what,
    })
}

fn fill(
    files: &dyn Files,
    kept: &dyn Files,
    key: Option<[u8; 32]>,
    given: &[SignedHead],
    report: &mut AuditReport,
) -> Result<(), OpenError> {
    // Heads first: a node that runs may add to both.
    let found = heads_of(kept)?;
    // Without the key's file, heads that were given say whose key it was.
    let key = key.or_else(|| given.first().map(|head| head.key));
    let key = key.or_else(|| found.heads.last().map(|head| head.key));
    report.key = key.map(|key| hex(&key)).unwrap_or_default();
    let Some(listing) = list(files, &AUDIT)? else {
        let newest = given.iter().chain(&found.heads).map(|head| head.place);
        return match newest.max() {
            Some(newest) if newest > 0 => {
                let what = "the log is missing, and heads of it are kept".to_owned();
                Err(damaged(HEAD_FILE, (1, newest), what))
            }
            _ => {
                report.notices.push("there is no audit log yet".to_owned());
                Ok(())
            }
        };
    };
    report.log = hex(&listing.identity.id);
    report.begins = listing.begins();
    check_given(&listing, key, given)?;
    let is_ours = |head: &&SignedHead| {
        Some(head.key) == key && head.log == listing.identity.id && head.is_genuine()
    };
    let own: Vec<&SignedHead> = found.heads.iter().filter(is_ours).collect();
    let ignored = found.unreadable + (found.heads.len() - own.len()) as u64;
    if ignored > 0 {
        let lines = if ignored == 1 { "line" } else { "lines" };
        report.notices.push(format!(
            "{ignored} {lines} of {HEADS_FOLDER} can't be read or bear no good signature of this log"
        ));
    }
    check_begin(&listing, given, &own)?;
    scan(files, &listing, given, &own, report)?;
    let unsigned = report.place.saturating_sub(report.signed_place);
    if unsigned > 0 {
        let records = if unsigned == 1 { "record" } else { "records" };
        report.notices.push(format!(
            "no signed head covers the last {unsigned} {records}, from place {} on",
            report.signed_place + 1
        ));
    }
    Ok(())
}

/// Heads that were given have to be genuine, and of this log and key.
fn check_given(
    listing: &Listing,
    key: Option<[u8; 32]>,
    given: &[SignedHead],
) -> Result<(), OpenError> {
    for head in given {
        let what = if !head.is_genuine() {
            "the signature of a head that was given is not good".to_owned()
        } else if head.log != listing.identity.id {
            format!(
                "a head that was given is of another log, {}",
                hex(&head.log)
            )
        } else if Some(head.key) != key {
            let key = hex(&head.key);
            format!("a head that was given is signed with another key, {key}")
        } else {
            continue;
        };
        return Err(damaged(HEAD_FILE, (1, head.place), what));
    }
    Ok(())
}

/// What is gone from the log's begin has to be trimmed by the node, which signs that first.
fn check_begin(
    listing: &Listing,
    given: &[SignedHead],
    own: &[&SignedHead],
) -> Result<(), OpenError> {
    let trimmed = given.iter().chain(own.iter().copied());
    let trimmed = trimmed.map(|head| head.begins).max().unwrap_or(1);
    let begins = listing.begins();
    if begins > trimmed {
        let what = "records are missing, and no signed head says that they were trimmed".to_owned();
        let first = crate::frame::segment_name(1);
        return Err(damaged(&first, (trimmed, begins - 1), what));
    }
    Ok(())
}

fn scan(
    files: &dyn Files,
    listing: &Listing,
    given: &[SignedHead],
    own: &[&SignedHead],
    report: &mut AuditReport,
) -> Result<(), OpenError> {
    // The chain at the log's begin is everybody's first mark: what differs lies behind it.
    let start = listing.segments.first().map(|first| Mark {
        place: first.first_place - 1,
        chain: first.chain,
        whose: "",
    });
    let mut marks = Vec::new();
    let groups = [
        ("a signed head that was given", given.iter().collect()),
        ("a signed head in audit-heads", own.to_vec()),
    ];
    let begin = start.map_or(0, |start| start.place);
    for (whose, heads) in groups {
        marks.extend(start.map(|start| Mark { whose, ..start }));
        // Heads of one place that are not equal are two marks: one of them will not fit.
        let heads = heads.iter().filter(|head| head.place >= begin);
        let chains: BTreeSet<_> = heads.map(|head| (head.place, head.chain)).collect();
        marks.extend(chains.into_iter().map(|(place, chain)| Mark {
            place,
            chain,
            whose,
        }));
    }
    report.signed_place = marks.iter().map(|mark| mark.place).max().unwrap_or(0);
    marks.push(Mark {
        place: listing.head.place,
        chain: listing.head.chain,
        whose: "the head file",
    });
    // Of marks at one place, one that was given comes first.
    marks.sort_by_key(|mark| mark.place);
    let end = listing.scan(files, 0, &marks, &mut |place, body| {
        let record = AuditKind::decode(body)
            .map_err(|error| format!("the record has a form this program can't read: {error}"))?;
        report.newest = record.at;
        report.records += 1;
        report.place = place;
        Ok(())
    })?;
    report.place = end.place;
    report.chain = hex(&end.chain);
    report.torn = end.torn;
    Ok(())
}
