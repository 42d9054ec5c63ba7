//! Checks a whole journal, its checkpoint and its modules without changing them; the journal also beside
//! a node that runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use caxton_model::{Digest, State};

use crate::{
    Blobs, Damage, Files, OpenError, RealFiles, TornTail,
    blobs::needed_modules,
    checkpoint_copy::{CheckpointFound, CheckpointRead},
    directory::keep_unused,
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
    /// The modules that agents and processors need and that are lost or damaged, in words.
    pub module_damage: Vec<String>,
    /// The half-written end, which the next start cuts off (or which a node is just writing).
    pub torn: Option<TornTail>,
    /// Harmless things worth knowing, in words.
    pub notices: Vec<String>,
}

impl VerifyReport {
    /// Whether every durable record, the checkpoint, and every module that is needed can be read.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.damage.is_none() && self.checkpoint_damage.is_none() && self.module_damage.is_empty()
    }
}

/// Checks the journal of a data directory, every header, checksum, record and link of the chain, every
/// entry of its checkpoint, and every module that an agent or a
/// processor needs.
///
/// Changes nothing; the directory may be in use. The checkpoint is read from a copy in the system's
/// folder for temporary files; while a node uses it, that node alone can check it and the modules.
/// Errors: where files can't be read at all, or a newer program wrote them.
/// Cost: reads the whole journal and those modules, copies the checkpoint, holds the node's state.
pub fn verify(dir: &Path) -> Result<VerifyReport, OpenError> {
    let files = RealFiles::read_only(&dir.join("journal"));
    let held = keep_unused(dir);
    let checkpoint = match &held {
        Ok(Some(_)) => CheckpointFound::of(dir),
        Ok(None) => {
            CheckpointFound::Unchecked("a node uses it, and checks it in the background".to_owned())
        }
        Err(error) => CheckpointFound::Unchecked(error.to_string()),
    };
    let mut report = verify_files(&files, &AtomicBool::new(false), true)?;
    let mut note = |what: &str| {
        report
            .notices
            .push(format!("the checkpoint was not checked: {what}"))
    };
    let mut read = None;
    match checkpoint {
        CheckpointFound::Good(good) => read = Some(*good),
        CheckpointFound::Damaged(what) => report.checkpoint_damage = Some(what),
        CheckpointFound::Missing if report.begins > 1 => {
            report.checkpoint_damage = Some(format!(
                "it is missing or empty, and the journal begins at place {}",
                report.begins
            ));
        }
        CheckpointFound::Missing => note("there is none; the next start builds it"),
        CheckpointFound::Unchecked(why) => note(&why),
    }
    if report.damage.is_some() {
        return Ok(report);
    }
    report.checkpoint_place = read.as_ref().map(|read| read.place);
    let is_built_anew = read.is_none() && report.begins == 1;
    let state = match read {
        Some(read) => go_on(&files, &mut report, read)?,
        None if is_built_anew => go_on(&files, &mut report, CheckpointRead::default())?,
        None => None,
    };
    match state {
        Some(state) if matches!(held, Ok(Some(_))) => {
            report.module_damage = lost_modules(&Blobs::existing(dir.join("blobs")), &state);
        }
        _ => report
            .notices
            .push("the stored modules were not checked".to_owned()),
    }
    Ok(report)
}

/// The state behind the journal's last record, from a checkpoint on; `None`: the checkpoint is none of
/// this journal, which goes into the report.
fn go_on(
    files: &dyn Files,
    report: &mut VerifyReport,
    read: CheckpointRead,
) -> Result<Option<State>, OpenError> {
    let CheckpointRead {
        place,
        chain,
        mut state,
    } = read;
    if place + 1 < report.begins {
        report.checkpoint_damage = Some(format!(
            "it ends at place {place}, and the journal begins at place {}",
            report.begins
        ));
        return Ok(None);
    }
    let Some(listing) = list(files, &JOURNAL)? else {
        return Ok(Some(state));
    };
    let whose = "the checkpoint";
    let mark = Mark {
        place,
        chain,
        whose,
    };
    // Before the first group there is no place whose chain could differ.
    let marks = if place > 0 { &[mark][..] } else { &[] };
    let scanned = listing.scan(files, listing.segment_of(place), marks, &mut |at, body| {
        if at > place {
            state.replay(&decode_entry(body)?);
        }
        Ok(())
    });
    match scanned {
        Ok(_) => Ok(Some(state)),
        Err(OpenError::Damaged(damage)) => {
            report.checkpoint_damage = Some(damage.what);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// The modules that agents and processors need and that can't be read, each with their names, in words.
fn lost_modules(blobs: &Blobs, state: &State) -> Vec<String> {
    let mut needed: BTreeMap<Digest, BTreeSet<&str>> = BTreeMap::new();
    for (name, module) in needed_modules(state) {
        needed.entry(module).or_default().insert(name);
    }
    let mut lost = Vec::new();
    for (digest, names) in needed {
        let reason = match blobs.get(&digest) {
            Ok(Some(_)) => continue,
            Ok(None) => "it is not in `blobs`".to_owned(),
            Err(error) => error.to_string(),
        };
        let names = names.into_iter().collect::<Vec<_>>().join("`, `");
        lost.push(format!("{digest} of `{names}` can't be read: {reason}"));
    }
    lost
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
