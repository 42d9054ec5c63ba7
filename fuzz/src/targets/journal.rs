//! Journals that were tampered with: refused without a change, or opened with all that was durable.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use caxton_model::{AgentId, AgentStatus, Entry, Record, Timestamp};
use caxton_store::{Chain, JournalFound, JournalOptions, JournalWriter, OpenError};

use super::files::MemoryFiles;

const ID: [u8; 32] = [7; 32];
/// Small, so that a short journal has several.
const SEGMENT_BYTES: u64 = 1_024;
const GROUPS: u64 = 12;
/// Bytes of one edit.
const EDIT_BYTES: usize = 8;
/// More would only be slower.
const EDITS_MAX: usize = 32;

type Folder = BTreeMap<String, Vec<u8>>;
type Opened = (JournalWriter, JournalFound, Vec<Entry>);

/// A good journal and what is known of it.
struct Good {
    folder: Folder,
    entries: Vec<Entry>,
    /// The last place of each group, and the chain behind it.
    ends: Vec<(u64, Chain)>,
    /// Where the next group would stand.
    segment: u64,
    offset: u64,
}

/// The first byte says what follows: files as they are, or edits of a good journal.
pub fn check(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else {
        return;
    };
    match mode {
        0 => check_raw(rest),
        1 => check_added(rest),
        mode => check_edited(*mode, rest),
    }
}

/// Any bytes as the head and two segments.
fn check_raw(bytes: &[u8]) {
    let mut parts = [bytes, &[], &[]];
    if let Some((lengths, rest)) = bytes.split_first_chunk::<4>() {
        let at = |i| usize::from(u16::from_le_bytes([lengths[i], lengths[i + 1]]));
        let (head, rest) = rest.split_at(at(0).min(rest.len()));
        let (first, second) = rest.split_at(at(2).min(rest.len()));
        parts = [head, first, second];
    }
    let names = ["head", "0000000001.seg", "0000000002.seg"];
    let folder: Folder = names
        .into_iter()
        .zip(parts)
        .filter(|(_, part)| !part.is_empty())
        .map(|(name, part)| (name.to_owned(), part.to_vec()))
        .collect();
    let files = MemoryFiles::of(folder.clone());
    match open(&files, None) {
        Ok(_) => check_goes_on(&files, None),
        Err(_) => assert!(files.all() == folder, "a refused journal was changed"),
    }
}

/// A group that is as the format wants it, whose records hold any bytes.
fn check_added(bytes: &[u8]) {
    let good = good();
    let mut folder = good.folder.clone();
    let (place, chain) = *good.ends.last().expect("there are groups");
    let group = group(good.segment, good.offset, place + 1, &chain, bytes);
    let name = format!("{:010}.seg", good.segment);
    let segment = folder.get_mut(&name).expect("it is there");
    let start = usize::try_from(good.offset).unwrap();
    segment.resize(segment.len().max(start + group.len()), 0);
    segment[start..start + group.len()].copy_from_slice(&group);
    let files = MemoryFiles::of(folder.clone());
    match open(&files, None) {
        Ok((_, found, entries)) => {
            assert_eq!(entries[..good.entries.len()], good.entries);
            assert_eq!(found.place, place + records(bytes).len() as u64);
            check_goes_on(&files, None);
        }
        Err(error) => {
            assert!(matches!(error, OpenError::Damaged(_)), "{error}");
            assert!(files.all() == folder, "a refused journal was changed");
        }
    }
}

fn check_edited(mode: u8, edits: &[u8]) {
    let good = good();
    let mut folder = good.folder.clone();
    for edit in edits.chunks_exact(EDIT_BYTES).take(EDITS_MAX) {
        apply(&mut folder, edit);
    }
    let known = good
        .ends
        .get(usize::from(mode) % (good.ends.len() * 2))
        .copied();
    let files = MemoryFiles::of(folder.clone());
    let (_, found, entries) = match open(&files, known) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(files.all() == folder, "a refused journal was changed");
            return;
        }
    };
    // The oldest segments may go when a checkpoint has passed them: whoever opens the directory
    // refuses a journal that begins behind its checkpoint.
    let skipped = known.map_or(0, |(place, _)| place).max(found.begins - 1);
    let skipped = usize::try_from(skipped).unwrap();
    let expected = good.entries.get(skipped..).unwrap_or_default();
    if entries.len() > expected.len() {
        // What stands behind is no record of ours: only a made-up journal has more.
        panic!("{} entries of {}", entries.len(), expected.len());
    }
    assert_eq!(
        entries,
        expected[..entries.len()],
        "what is read was written"
    );
    if folder.get("head") == good.folder.get("head") {
        assert_eq!(
            entries.len(),
            expected.len(),
            "opened silently short: {found:?}"
        );
    }
    check_goes_on(&files, known);
}

/// What was opened can be written on and opened again.
fn check_goes_on(files: &MemoryFiles, known: Option<(u64, Chain)>) {
    let (mut writer, found, before) = open(files, known).expect("a second time");
    assert_eq!(found.torn, None, "it was cut off the first time");
    let added = entry(1_000, 10);
    writer
        .append_group(&[Arc::new(added.clone())])
        .expect("memory takes it");
    let (_, _, after) = open(files, known).expect("a third time");
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.last(), Some(&added));
}

fn open(files: &MemoryFiles, known: Option<(u64, Chain)>) -> Result<Opened, OpenError> {
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        new_id: ID,
        known,
        check_known: true,
    };
    let mut entries = Vec::new();
    let (writer, found) =
        JournalWriter::open(Arc::new(files.clone()), &options, &mut |_, entry| {
            entries.push(entry);
            Ok(())
        })?;
    Ok((writer, found, entries))
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let files = MemoryFiles::default();
        let (mut writer, _, _) = open(&files, None).expect("a new journal");
        let (mut entries, mut ends) = (Vec::new(), Vec::new());
        let mut last = None;
        for group in 0..GROUPS {
            let records: Vec<_> = (0..=group % 3)
                .map(|record| {
                    let seq = entries.len() as u64 + record + 1;
                    Arc::new(entry(seq, usize::try_from(seq * 7 % 90).unwrap()))
                })
                .collect();
            last = writer.append_group(&records).expect("memory takes it");
            entries.extend(records.iter().map(|entry| (**entry).clone()));
            ends.push((writer.place(), writer.chain()));
        }
        let segment = last.expect("the last group has records").segment;
        let folder = files.all();
        let head = &folder["head"];
        let newest = if u64_at(head, 48) > u64_at(head, 4_096 + 48) {
            0
        } else {
            4_096
        };
        let offset = u64_at(head, newest + 96);
        assert_eq!(u64_at(head, newest + 88), segment);
        Good {
            folder,
            entries,
            ends,
            segment,
            offset,
        }
    })
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn entry(seq: u64, reason_bytes: usize) -> Entry {
    Entry {
        shard: 0,
        seq,
        at: Timestamp(1_767_225_600_000_000),
        record: Record::StatusChanged {
            agent: AgentId(seq),
            status: AgentStatus::Stopped,
            reason: "x".repeat(reason_bytes),
        },
    }
}

/// One edit: what, which file, where, how long, and a number more.
fn apply(folder: &mut Folder, edit: &[u8]) {
    let names: Vec<String> = folder.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = &names[usize::from(edit[1]) % names.len()];
    let number = |at: usize| usize::from(u16::from_le_bytes([edit[at], edit[at + 1]]));
    let (at, length, value) = (number(2), number(4), number(6));
    let other = folder[&names[value % names.len()]].clone();
    let bytes = folder.get_mut(name).expect("it is there");
    let at = at % (bytes.len() + 1);
    let end = (at + length).min(bytes.len());
    match edit[0] % 8 {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= edit[6].max(1);
            }
        }
        2 => bytes.truncate(at),
        3 => bytes[at..end].fill(0),
        4 => {
            let part = bytes[at..end].to_vec();
            let to = value % (bytes.len() + 1);
            let most = part.len().min(bytes.len() - to);
            bytes[to..to + most].copy_from_slice(&part[..most]);
        }
        5 => drop(folder.remove(name)),
        6 => *bytes = other,
        _ => bytes.resize(bytes.len() + length, edit[6]),
    }
}

/// Bodies of a made-up group's records: the first byte of each part is its length.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut bodies, mut rest) = (Vec::new(), bytes);
    while let Some((length, behind)) = rest.split_first() {
        let (body, more) = behind.split_at(usize::from(*length).min(behind.len()));
        bodies.push(body);
        rest = more;
    }
    bodies
}

/// A group as `docs/specs/journal.md` has it.
fn group(segment: u64, offset: u64, place: u64, before: &Chain, bytes: &[u8]) -> Vec<u8> {
    let bodies = records(bytes);
    let mut body = Vec::new();
    for record in &bodies {
        let length = u32::try_from(record.len()).unwrap().to_le_bytes();
        let sum = crc32c::crc32c_append(crc32c::crc32c(&length), record);
        body.extend(length);
        body.extend(sum.to_le_bytes());
        body.extend(*record);
    }
    let mut header = b"CXG1".to_vec();
    header.extend(u32::try_from(bodies.len()).unwrap().to_le_bytes());
    header.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    header.extend([0; 4]);
    header.extend(place.to_le_bytes());
    let mut chain = blake3::Hasher::new();
    chain.update(before).update(&header).update(&body);
    header.extend(chain.finalize().as_bytes());
    let key = blake3::derive_key("caxton journal 1: check of a group's header", &ID);
    let mut check = blake3::Hasher::new_keyed(&key);
    check
        .update(&segment.to_le_bytes())
        .update(&offset.to_le_bytes())
        .update(&header);
    header.extend(&check.finalize().as_bytes()[..8]);
    header.extend(body);
    header
}
