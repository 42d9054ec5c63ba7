//! Checks a whole journal without changing it; also that of a node that runs.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    Chain, Damage, Files, OpenError, RealFiles, TornTail,
    checkpoint_copy::CheckpointFound,
    frame::{decode_entry, segment_name},
    head::HEAD_FILE,
    log::JOURNAL,
    scan::{Mark, list},
};

/// How often a journal that is being written is read again before what is found counts.
const TRIES: usize = 3;

/// What a check of a journal found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The first record that is still there; 1 unless older segments were removed.
    pub begins: u64,
    /// The last good record.
    pub place: u64,
    /// The last record that the head file calls durable.
    pub head_place: u64,
    /// Good records.
    pub records: u64,
    /// Good groups.
    pub groups: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The chain behind the last good record, as hex.
    pub chain: String,
    /// The first thing in the journal that is not as it was written.
    pub damage: Option<Damage>,
    /// The place up to which the checkpoint goes, if it was read.
    pub checkpoint_place: Option<u64>,
    /// What is wrong with the checkpoint, in words.
    pub checkpoint_damage: Option<String>,
    /// The half-written end, which the next start cuts off (or which a node is just writing).
    pub torn: Option<TornTail>,
    /// Harmless things worth knowing, in words.
    pub notices: Vec<String>,
}

impl VerifyReport {
    /// Whether every durable record, and the checkpoint, can be read.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.damage.is_none() && self.checkpoint_damage.is_none()
    }
}

/// Checks the journal of a data directory, every header, checksum, record and link of the chain, and
/// every entry of its checkpoint.
///
/// Changes nothing; the directory may be in use. The checkpoint is read from a copy in the system's
/// folder for temporary files; while a node uses it, that node alone can check it.
/// Errors: where files can't be read at all, or a newer program wrote them.
/// Cost: reads the whole journal, copies the checkpoint.
pub fn verify(dir: &Path) -> Result<VerifyReport, OpenError> {
    let files = RealFiles::read_only(&dir.join("journal"));
    let checkpoint = CheckpointFound::of(dir);
    let mut report = verify_files(&files, &AtomicBool::new(false), true)?;
    match checkpoint {
        CheckpointFound::Unchecked(why) => {
            report
                .notices
                .push(format!("the checkpoint was not checked: {why}"));
        }
        CheckpointFound::Damaged(what) => report.checkpoint_damage = Some(what),
        CheckpointFound::Good(place, chain) => {
            report.checkpoint_place = Some(place);
            report.checkpoint_damage = fits(&files, &report, place, chain)?;
        }
    }
    Ok(report)
}

/// Whether a checkpoint of this place and chain is one of this journal; if not, why.
fn fits(
    files: &dyn Files,
    report: &VerifyReport,
    place: u64,
    chain: Chain,
) -> Result<Option<String>, OpenError> {
    if report.damage.is_some() {
        return Ok(None);
    }
    if place + 1 < report.begins {
        return Ok(Some(format!(
            "it ends at place {place}, and the journal begins at place {}",
            report.begins
        )));
    }
    let mark = Mark {
        place,
        chain,
        whose: "the checkpoint",
    };
    let Some(listing) = list(files, &JOURNAL)? else {
        return Ok(None);
    };
    let from = listing.segment_of(place);
    match listing.scan(files, from, &[mark], &mut |_, _| Ok(())) {
        Ok(_) => Ok(None),
        Err(OpenError::Damaged(damage)) => Ok(Some(damage.what)),
        Err(other) => Err(other),
    }
}

/// The same over any file layer, until `stop` is set; `decode`: whether each record is also taken
/// apart, which costs more than all the rest.
pub(crate) fn verify_files(
    files: &dyn Files,
    stop: &AtomicBool,
    decode: bool,
) -> Result<VerifyReport, OpenError> {
    let mut report = verify_once(files, stop, decode)?;
    for _ in 1..TRIES {
        // A node that writes, or removes its oldest segment, changes what is read.
        let Some(damage) = report.damage.clone() else {
            break;
        };
        report = verify_once(files, stop, decode)?;
        if report.damage.as_ref() == Some(&damage) {
            break;
        }
    }
    Ok(report)
}

fn verify_once(
    files: &dyn Files,
    stop: &AtomicBool,
    decode: bool,
) -> Result<VerifyReport, OpenError> {
    let mut report = VerifyReport::default();
    match fill(files, stop, decode, &mut report) {
        Err(OpenError::Damaged(damage)) => report.damage = Some(damage),
        Err(other) => return Err(other),
        Ok(()) => {}
    }
    Ok(report)
}

fn fill(
    files: &dyn Files,
    stop: &AtomicBool,
    decode: bool,
    report: &mut VerifyReport,
) -> Result<(), OpenError> {
    let Some(listing) = list(files, &JOURNAL)? else {
        report.notices.push("there is no journal yet".to_owned());
        return Ok(());
    };
    report.begins = listing.begins();
    report.head_place = listing.head.place;
    report.segments = listing.segments.len() as u64;
    if listing.head_slot_bad {
        report
            .notices
            .push("one slot of the head file is not good; the other is used".to_owned());
    }
    if let Some(name) = &listing.unfinished {
        report.notices.push(format!(
            "{name} was never finished; the next start removes it"
        ));
    }
    for segment in &listing.segments {
        let name = segment_name(segment.number);
        report.bytes += files
            .open(&name)
            .and_then(|file| file.size())
            .map_err(OpenError::io(format!("can't read journal/{name}")))?;
    }
    let mark = Mark {
        place: listing.head.place,
        chain: listing.head.chain,
        whose: HEAD_FILE,
    };
    let end = listing.scan(files, 0, &[mark], &mut |place, body| {
        if stop.load(Ordering::Relaxed) {
            return Err("the check was stopped".to_owned());
        }
        if decode {
            decode_entry(body).map_err(|error| {
                format!("the record has a form this program can't read: {error}")
            })?;
        }
        report.records += 1;
        report.place = place;
        Ok(())
    })?;
    report.groups = end.groups;
    report.place = end.place;
    report.chain = blake3::Hash::from_bytes(end.chain).to_hex().to_string();
    report.torn = end.torn;
    Ok(())
}
