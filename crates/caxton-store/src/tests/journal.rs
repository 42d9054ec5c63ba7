//! The writer and what it reads again, without threads.

use std::sync::Arc;

use caxton_model::Entry;
use proptest::prelude::*;

use super::sample::{Random, World, turn, usual_turn, write};
use crate::{
    FaultyFiles, Files, JournalFound, JournalOptions, JournalWriter, OpenError,
    frame::{GROUP_HEADER_BYTES, SEGMENT_HEADER_BYTES, encode_record, segment_name, split_record},
    log::JournalLog,
    verify::verify_files,
};

pub(super) const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: 4_096,
    new_id: [7; 32],
    known: None,
    check_known: true,
};

pub(super) type Opened = (JournalWriter, JournalFound, Vec<Entry>);

pub(super) fn open_with(
    files: &FaultyFiles,
    options: &JournalOptions,
) -> Result<Opened, OpenError> {
    let mut entries = Vec::new();
    let (writer, found) =
        JournalWriter::open(Arc::new(files.clone()), options, &mut |_, entry| {
            entries.push(entry);
            Ok(())
        })?;
    Ok((writer, found, entries))
}

pub(super) fn open(files: &FaultyFiles) -> Result<Opened, OpenError> {
    open_with(files, &OPTIONS)
}

/// A journal of this many groups of a few records each, and where each group ends.
pub(super) fn filled(seed: u64, groups: usize) -> (FaultyFiles, Vec<Arc<Entry>>, Vec<u64>) {
    filled_with(seed, groups, &OPTIONS)
}

fn filled_with(
    seed: u64,
    groups: usize,
    options: &JournalOptions,
) -> (FaultyFiles, Vec<Arc<Entry>>, Vec<u64>) {
    let files = FaultyFiles::default();
    let mut world = World::new(seed);
    let (mut writer, _, _) = open_with(&files, options).unwrap();
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..groups {
        let count = 1 + world.random.below(5);
        let entries: Vec<_> = (0..count).map(|_| world.step()).collect();
        let group = writer.append_group(&entries).unwrap().unwrap();
        all.extend(entries);
        assert_eq!(group.last_place, all.len() as u64);
        ends.push(group.last_place);
    }
    (files, all, ends)
}

#[track_caller]
pub(super) fn assert_entries(found: &[Entry], expected: &[Arc<Entry>]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, &**expected);
    }
}

#[test]
fn what_was_written_is_read_again_over_many_segments() {
    let (files, all, _) = filled(1, 200);
    assert!(files.names_now().len() > 10, "{:?}", files.names_now());
    let (writer, found, entries) = open(&files).unwrap();
    assert_entries(&entries, &all);
    assert_eq!((found.begins, found.place), (1, all.len() as u64));
    assert_eq!((found.torn, found.notices), (None, Vec::new()));
    assert_eq!(writer.place(), all.len() as u64);
    let report = verify_files(&files, &false.into(), true).unwrap();
    assert!(report.is_good());
    assert_eq!((report.groups, report.records), (200, all.len() as u64));
}

#[test]
fn a_journal_goes_on_where_it_ended_any_number_of_times() {
    let files = FaultyFiles::default();
    let mut world = World::new(2);
    let mut all = Vec::new();
    for _ in 0..40 {
        let (mut writer, _, entries) = open(&files).unwrap();
        assert_entries(&entries, &all);
        let more: Vec<_> = (0..3).map(|_| world.step()).collect();
        writer.append_group(&more).unwrap();
        all.extend(more);
    }
}

#[test]
fn a_record_larger_than_a_segment_gets_a_segment_that_fits() {
    let files = FaultyFiles::default();
    let (mut writer, _, _) = open(&files).unwrap();
    let large = Arc::new(turn(0, 1, 5, vec![write("k", &"v".repeat(100_000))]));
    writer.append_group(std::slice::from_ref(&large)).unwrap();
    let small = Arc::new(usual_turn(2));
    writer.append_group(std::slice::from_ref(&small)).unwrap();
    let (_, _, entries) = open(&files).unwrap();
    assert_entries(&entries, &[large, small]);
}

#[test]
fn writes_that_take_only_a_few_bytes_at_a_time_are_finished() {
    let files = FaultyFiles::default();
    files.write_at_most(7);
    let (mut writer, _, _) = open(&files).unwrap();
    let entries: Vec<_> = (1..20).map(|seq| Arc::new(usual_turn(seq))).collect();
    writer.append_group(&entries).unwrap();
    assert_entries(&open(&files).unwrap().2, &entries);
}

/// Killed while it writes: every prefix of the last group is a torn tail, and all before is whole.
#[test]
fn every_cut_within_the_last_group_is_a_torn_tail() {
    let options = JournalOptions {
        segment_bytes: 1 << 16,
        ..OPTIONS
    };
    let (files, all, _) = filled_with(3, 9, &options);
    let before = files.copy();
    let (mut writer, _, _) = open_with(&files, &options).unwrap();
    let last: Vec<_> = (1..3).map(|n| Arc::new(usual_turn(n))).collect();
    writer.append_group(&last).unwrap();
    let name = segment_name(1);
    let (old, new) = (before.bytes(&name), files.bytes(&name));
    let start = old.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let end = new.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert!(end - start > GROUP_HEADER_BYTES + 500, "{start} {end}");
    for cut in start..end {
        let torn = before.copy();
        torn.edit(&name, |bytes| {
            bytes[start..cut].copy_from_slice(&new[start..cut]);
        });
        let (mut writer, found, entries) = open_with(&torn, &options).unwrap();
        assert_entries(&entries, &all);
        let written = new[start..cut].iter().any(|byte| *byte != 0);
        assert_eq!(found.torn.is_some(), written, "cut at {cut}");
        // And it goes on from there.
        writer.append_group(&last[..1]).unwrap();
        assert_eq!(open_with(&torn, &options).unwrap().2.len(), all.len() + 1);
    }
}

#[test]
fn after_power_loss_all_that_was_durable_is_there_and_nothing_half() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let (files, mut all, _) = filled(seed, 1 + random.below(12) as usize);
        let (mut writer, _, _) = open(&files).unwrap();
        let durable = all.len();
        // One more group is on its way: it is written, but its sync does not come back.
        files.fail_syncs();
        let on_its_way: Vec<_> = (1..=1 + random.below(4))
            .map(|seq| Arc::new(usual_turn(seq)))
            .collect();
        assert!(writer.append_group(&on_its_way).is_err());
        let after = files.after_power_loss(&mut || random.one_in(2));
        let (_, found, entries) = open(&after).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        all.extend(on_its_way);
        let whole = entries.len();
        assert!(
            whole == durable || whole == all.len(),
            "seed {seed}: {whole}"
        );
        assert_entries(&entries, &all[..whole]);
        assert_eq!(found.place, whole as u64);
    }
}

/// Writes groups until the disk crashes; answers what was acknowledged.
fn write_until_crash(files: &FaultyFiles, all: &[Arc<Entry>], done: usize) -> usize {
    let (mut writer, found, _) = match open(files) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(files.has_crashed(), "{error}");
            return done;
        }
    };
    let mut acknowledged = usize::try_from(found.place).unwrap();
    for group in all[acknowledged..].chunks(3) {
        match writer.append_group(group) {
            Ok(_) => acknowledged += group.len(),
            Err(_) => break,
        }
        if acknowledged.is_multiple_of(4) {
            let _ = writer.sync_head();
        }
    }
    acknowledged.max(done)
}

/// The power goes at every single change of the disk, again while the end is mended, and each time
/// some of what was not synced is there: what was acknowledged always is.
#[test]
fn no_moment_of_power_loss_loses_what_was_acknowledged() {
    let mut world = World::new(4);
    let all: Vec<_> = (0..24).map(|_| world.step()).collect();
    let mut changes = 0;
    loop {
        for seed in 0..20 {
            let mut random = Random(changes * 100 + seed);
            let files = FaultyFiles::default();
            files.crash_after(changes);
            let mut acknowledged = write_until_crash(&files, &all, 0);
            let finished = !files.has_crashed();
            let mut files = files;
            for _ in 0..2 {
                files = if random.one_in(3) {
                    files.copy()
                } else {
                    files.after_power_loss(&mut || random.one_in(2))
                };
                files.crash_after(random.below(12));
                acknowledged = write_until_crash(&files, &all, acknowledged);
            }
            let files = files.after_power_loss(&mut || random.one_in(2));
            let (_, found, entries) =
                open(&files).unwrap_or_else(|e| panic!("change {changes} seed {seed}: {e}"));
            let place = usize::try_from(found.place).unwrap();
            assert!(place >= acknowledged, "change {changes} seed {seed}");
            assert_entries(&entries, &all[..place]);
            if finished {
                return;
            }
        }
        changes += 1;
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    use crate::{
        frame::{put, seal},
        log::JOURNAL,
    };
    let (files, _, _) = filled(9, 3);
    for name in [segment_name(1), "head".to_owned()] {
        let newer = files.copy();
        newer.edit(&name, |bytes| {
            let mut header: [u8; SEGMENT_HEADER_BYTES] =
                bytes[..SEGMENT_HEADER_BYTES].try_into().unwrap();
            put(&mut header, 8, &(JOURNAL.format + 1).to_le_bytes());
            seal(&mut header);
            bytes[..SEGMENT_HEADER_BYTES].copy_from_slice(&header);
        });
        let error = open(&newer).unwrap_err();
        assert!(
            matches!(error, OpenError::Version { found, .. } if found == JOURNAL.format + 1),
            "{error}"
        );
    }
}

#[test]
fn a_journal_that_lost_its_end_is_refused() {
    let (files, all, _) = filled(5, 60);
    let names = files.names_now();
    let segments: Vec<_> = names.iter().filter(|name| name.ends_with("seg")).collect();
    // The end of the last segment, whole segments, the head.
    let last = segments[segments.len() - 1];
    let cut = files.copy();
    cut.edit(last, |bytes| bytes.truncate(SEGMENT_HEADER_BYTES));
    let error = open(&cut).unwrap_err().to_string();
    assert!(
        error.contains("was durable") && error.contains(&all.len().to_string()),
        "{error}"
    );
    for gone in &names {
        let without = files.copy();
        without.delete(gone);
        if *gone == segment_name(1) {
            // As if it had been removed because the checkpoint has passed it.
            let (_, found, _) = open(&without).unwrap();
            assert!(found.begins > 1);
            continue;
        }
        let error = open(&without).unwrap_err();
        assert!(matches!(error, OpenError::Damaged(_)), "{gone}: {error}");
        assert!(error.to_string().contains("journal verify"), "{error}");
    }
}

#[test]
fn groups_of_another_journal_or_another_place_are_refused() {
    let (files, _, _) = filled(6, 30);
    let other = FaultyFiles::default();
    let options = JournalOptions {
        new_id: [8; 32],
        ..OPTIONS
    };
    open_with(&other, &options).unwrap();
    let mixed = files.copy();
    let foreign = other.bytes(&segment_name(1));
    mixed.edit(&segment_name(2), |bytes| *bytes = foreign);
    assert!(matches!(open(&mixed), Err(OpenError::Damaged(_))));
    let swapped = files.copy();
    let second = files.bytes(&segment_name(2));
    swapped.edit(&segment_name(3), |bytes| *bytes = second);
    assert!(matches!(open(&swapped), Err(OpenError::Damaged(_))));
}

#[test]
fn an_older_journal_put_back_under_a_newer_head_is_refused() {
    let (files, all, _) = filled(7, 20);
    let old = files.copy();
    let (mut writer, _, _) = open(&files).unwrap();
    for seq in 1..31 {
        writer.append_group(&[Arc::new(usual_turn(seq))]).unwrap();
    }
    let head = files.bytes("head");
    old.edit("head", |bytes| *bytes = head);
    let error = open(&old).unwrap_err().to_string();
    assert!(
        error.contains(&format!("ends at place {}", all.len())),
        "{error}"
    );
}

#[test]
fn bytes_a_guest_stored_are_not_taken_for_a_group() {
    let (files, _, _) = filled(8, 3);
    // A copy of real groups, as a value: the torn record that carries it stays a torn tail.
    let (mut writer, found, _) = open(&files).unwrap();
    let stolen = files.bytes(&segment_name(1));
    let mut entry = turn(0, 1, 5, Vec::new());
    if let caxton_model::Record::Turn(turn) = &mut entry.record {
        turn.writes = vec![caxton_model::StateWrite {
            key: b"k"[..].into(),
            value: Some(stolen.into()),
        }];
    }
    let before = files.copy();
    writer.append_group(&[Arc::new(entry)]).unwrap();
    let name = segment_name(2);
    let mut bytes = files.bytes(&name);
    // The header of the group did not reach the disk, its body did.
    bytes[SEGMENT_HEADER_BYTES..SEGMENT_HEADER_BYTES + GROUP_HEADER_BYTES].fill(0);
    before.create(&name).unwrap();
    before.edit(&name, |now| *now = bytes);
    let (_, again, _) = open(&before).unwrap();
    assert_eq!(again.place, found.place);
    assert!(again.torn.is_some());
}

proptest! {
    #[test]
    fn a_record_and_its_frame_go_there_and_back(seed: u64, count in 1_usize..6) {
        let mut world = World::new(seed);
        let entries: Vec<_> = (0..count).map(|_| world.step()).collect();
        let mut bytes = Vec::new();
        for entry in &entries {
            encode_record::<JournalLog>(entry, &mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        for entry in &entries {
            let (body, behind) = split_record(rest).unwrap();
            prop_assert_eq!(&crate::decode_entry(body).unwrap(), &**entry);
            rest = behind;
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = crate::decode_entry(&bytes);
        let _ = split_record(&bytes);
    }

    #[test]
    fn a_changed_record_is_never_another_record(seed: u64, at: prop::sample::Index, bit in 0_u32..8) {
        let mut bytes = Vec::new();
        encode_record::<JournalLog>(&World::new(seed).step(), &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(split_record(&bytes).is_none());
    }
}
