//! Whatever is changed behind the log's back is found, with the place.

use std::sync::Arc;

use caxton_model::AuditRecord;

use super::{Chance, fill, open, options, record, verify};
use crate::{
    FaultyFiles, LogOptions, LogWriter, OpenError,
    audit::v1::{AUDIT, AuditKind},
    frame::{
        GROUP_HEADER_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, segment_name, u32_at, u64_at,
    },
    head::{Head, HeadFile},
    log::Log,
};

/// A piece of a segment, and the place that is named if it changes.
struct Piece {
    file: String,
    from: usize,
    to: usize,
    place: u64,
}

/// A group: its segment, where it begins, its records.
struct Group {
    segment: u64,
    offset: u64,
    records: Vec<AuditRecord>,
}

fn pieces(disk: &FaultyFiles) -> (Vec<Piece>, Vec<Group>) {
    let (mut pieces, mut groups) = (Vec::new(), Vec::new());
    let mut names = disk.names_now();
    names.retain(|name| name.ends_with(".seg"));
    for (segment, file) in (1..).zip(names) {
        let bytes = disk.bytes(&file);
        let mut at = SEGMENT_HEADER_BYTES;
        while bytes.get(at..at + 4) == Some(b"CXG1") {
            let offset = at as u64;
            let (count, mut place) = (u32_at(&bytes, at + 4), u64_at(&bytes, at + 16));
            let mut piece = |from: usize, to: usize, place: u64| {
                let file = file.clone();
                pieces.push(Piece {
                    file,
                    from,
                    to,
                    place,
                });
            };
            piece(at, at + GROUP_HEADER_BYTES, place);
            at += GROUP_HEADER_BYTES;
            let mut records = Vec::new();
            for _ in 0..count {
                let end = at + RECORD_HEADER_BYTES + u32_at(&bytes, at) as usize;
                piece(at, end, place);
                records.push(AuditKind::decode(&bytes[at + RECORD_HEADER_BYTES..end]).unwrap());
                (at, place) = (end, place + 1);
            }
            groups.push(Group {
                segment,
                offset,
                records,
            });
        }
    }
    (pieces, groups)
}

/// A log of 120 records on many segments, with all its heads.
fn sample(chance: &mut Chance) -> FaultyFiles {
    let disk = FaultyFiles::default();
    let mut log = open(&disk, &options()).unwrap();
    fill(&mut log, chance, 120);
    assert!(verify(&disk, &[log.0.head()]).is_good());
    disk
}

#[test]
fn each_of_a_thousand_mutations_is_found_at_its_record() {
    let mut chance = Chance(1);
    let disk = sample(&mut chance);
    let (pieces, _) = pieces(&disk);
    assert!(disk.names_now().len() > 5);
    for _ in 0..1_000 {
        let changed = disk.copy();
        let piece = &pieces[chance.below(pieces.len() as u64) as usize];
        let at = piece.from + chance.below((piece.to - piece.from) as u64) as usize;
        let flip = chance.below(255) as u8 + 1;
        changed.edit(&piece.file, |bytes| bytes[at] ^= flip);
        let damage = verify(&changed, &[]).damage.expect("a mutation was missed");
        assert_eq!(
            damage.place, piece.place,
            "{} byte {at}: {damage}",
            piece.file
        );
        assert_eq!(damage.file, piece.file, "{damage}");
        assert!(matches!(
            open(&changed, &options()),
            Err(OpenError::AuditDamaged(_)) | Ok(_)
        ));
    }
}

/// Takes everything behind a group away, as somebody does who knows the format and not the key.
fn cut_behind(disk: &FaultyFiles, groups: &[Group], kept: usize) {
    for group in &groups[kept..] {
        if group.offset == SEGMENT_HEADER_BYTES as u64 {
            disk.delete(&segment_name(group.segment));
        }
    }
    let last = &groups[kept - 1];
    let name = segment_name(last.segment);
    let header = |bytes: &[u8]| {
        let at = last.offset as usize;
        let body = u32_at(bytes, at + 8) as usize;
        let end = at + GROUP_HEADER_BYTES + body;
        (
            u64_at(bytes, at + 16),
            crate::frame::array(bytes, at + 24),
            end,
        )
    };
    let (first, chain, end) = header(&disk.bytes(&name));
    disk.edit(&name, |bytes| bytes.truncate(end));
    let head = Head {
        id: [7; 32],
        place: first + last.records.len() as u64 - 1,
        chain,
        segment: last.segment,
        offset: end as u64,
    };
    for slot in 0..2 {
        let mut file = HeadFile::open(disk, &AUDIT, slot).unwrap();
        file.write(&head).unwrap();
    }
}

#[test]
fn a_cut_tail_is_found_even_if_the_unsigned_head_was_cut_as_well() {
    let mut chance = Chance(2);
    let disk = sample(&mut chance);
    let (_, groups) = pieces(&disk);
    for kept in 1..groups.len() {
        let changed = disk.copy();
        cut_behind(&changed, &groups, kept);
        let last: usize = groups[..kept].iter().map(|group| group.records.len()).sum();
        let damage = verify(&changed, &[]).damage.expect("a cut tail was missed");
        assert_eq!(damage.place, last as u64 + 1, "{damage}");
        assert!(damage.what.contains("a signed head"), "{damage}");
        let refused = open(&changed, &options()).err().unwrap();
        assert!(matches!(refused, OpenError::AuditDamaged(_)), "{refused}");
    }
}

/// The same groups with one record changed, sealed anew with everything that is no secret.
fn resealed(disk: &FaultyFiles, groups: &[Group], place: u64, heads: bool) -> FaultyFiles {
    let forged = FaultyFiles::default();
    let options = LogOptions {
        segment_bytes: options().segment_bytes,
        new_id: [7; 32],
        known: None,
        check_known: false,
    };
    let files = Arc::new(forged.clone());
    let (mut writer, _) =
        LogWriter::<AuditKind>::open(files, &options, &mut |_, _| Ok(())).unwrap();
    let mut at = 0;
    for group in groups {
        for record in &group.records {
            at += 1;
            let mut record = record.clone();
            if at == place {
                record.subject.name = "somebody-else".to_owned();
            }
            writer.encode(&record).unwrap();
        }
        writer.commit().unwrap();
    }
    for name in ["recent-0", "long"] {
        if heads {
            crate::Files::create(&forged, name).unwrap();
            forged.edit(name, |bytes| *bytes = disk.bytes(name));
        }
    }
    forged
}

#[test]
fn a_log_that_was_rewritten_without_the_key_is_found_at_the_record() {
    let mut chance = Chance(3);
    let disk = sample(&mut chance);
    let (_, groups) = pieces(&disk);
    assert!(verify(&resealed(&disk, &groups, 0, true), &[]).is_good());
    for place in 1..=120 {
        let forged = resealed(&disk, &groups, place, true);
        let damage = verify(&forged, &[])
            .damage
            .expect("a rewritten log was missed");
        assert!(
            (damage.place..=damage.last_place).contains(&place),
            "{place}: {damage}"
        );
        let within = damage.last_place - damage.place;
        assert!(within < 6, "no more than the group is suspected: {damage}");
    }
}

#[test]
fn one_head_that_was_kept_elsewhere_finds_what_is_behind_every_other() {
    let mut chance = Chance(4);
    let disk = sample(&mut chance);
    let (_, groups) = pieces(&disk);
    let head = open(&disk, &options()).unwrap().0.head();
    for place in [1, 60, 120] {
        let forged = resealed(&disk, &groups, place, false);
        assert!(verify(&forged, &[]).is_good(), "there is no other evidence");
        let damage = verify(&forged, std::slice::from_ref(&head)).damage.unwrap();
        assert!(
            (damage.place..=damage.last_place).contains(&place),
            "{damage}"
        );
        let mut false_head = head.clone();
        false_head.place -= 1;
        let damage = verify(&disk, &[false_head]).damage.unwrap();
        assert!(damage.what.contains("the signature of a head"), "{damage}");
    }
}

#[test]
fn an_old_directory_that_was_put_back_is_found_by_a_newer_head() {
    let mut chance = Chance(5);
    let disk = sample(&mut chance);
    let mut log = open(&disk, &options()).unwrap();
    let old = disk.copy();
    let old_head = log.0.head();
    fill(&mut log, &mut chance, 30);
    let head = log.0.head();
    assert!(verify(&disk, &[old_head.clone(), head.clone()]).is_good());
    let damage = verify(&old, std::slice::from_ref(&head)).damage.unwrap();
    assert_eq!(
        damage.to_string(),
        format!(
            "{} at byte {}, place 121: the audit ends at place 120, but a signed head that was given says that place 150 was durable",
            damage.file, damage.offset
        )
    );
    // It goes on: it has a record of that place again, and another one.
    let mut again = open(&old, &options()).unwrap();
    for number in 0..60 {
        again.0.append(record(1_000 + number)).unwrap();
        assert!(super::write(&mut again.1).unwrap());
    }
    assert!(verify(&old, &[]).is_good());
    let damage = verify(&old, &[old_head, head]).damage.unwrap();
    assert_eq!((damage.place, damage.last_place), (121, 150), "{damage}");
}

#[test]
fn what_retention_trims_is_signed_and_what_anybody_else_removes_is_found() {
    let mut chance = Chance(6);
    let disk = FaultyFiles::default();
    let options = crate::audit::AuditOptions {
        log_bytes_max: 12 << 10,
        ..options()
    };
    let mut log = open(&disk, &options).unwrap();
    fill(&mut log, &mut chance, 300);
    let report = verify(&disk, &[log.0.head()]);
    assert!(report.is_good(), "{report:?}");
    assert!(report.begins > 1 && report.place == 300, "{report:?}");
    assert_eq!(log.0.head().begins, report.begins);
    let oldest = disk
        .names_now()
        .into_iter()
        .find(|name| name.ends_with(".seg"));
    disk.delete(&oldest.unwrap());
    let damage = verify(&disk, &[]).damage.unwrap();
    assert_eq!(damage.place, report.begins);
    assert!(
        damage
            .what
            .contains("no signed head says that they were trimmed"),
        "{damage}"
    );
}
