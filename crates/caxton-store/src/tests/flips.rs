//! Every single flipped bit is found or harmless; none opens a journal silently short.

use super::{
    journal::{assert_entries, filled, open},
    sample::Random,
};
use crate::{OpenError, verify::verify_files};

#[test]
fn a_thousand_flipped_bits_in_segments_are_all_found() {
    let (files, all, _) = filled(11, 50);
    let names: Vec<_> = files
        .names_now()
        .into_iter()
        .filter(|name| name.ends_with("seg"))
        .collect();
    let mut random = Random(42);
    let (mut refused, mut harmless) = (0, 0);
    for _ in 0..1_000 {
        let name = &names[random.below(names.len() as u64) as usize];
        let copy = files.copy();
        let length = copy.bytes(name).len() as u64;
        let (at, bit) = (random.below(length) as usize, random.below(8));
        copy.edit(name, |bytes| bytes[at] ^= 1 << bit);
        let report = verify_files(&copy, &false.into(), true).unwrap();
        match open(&copy) {
            Err(OpenError::Damaged(damage)) => {
                assert!(damage.place >= 1 && damage.place <= all.len() as u64 + 1);
                assert_eq!(report.damage, Some(damage));
                refused += 1;
            }
            Err(other) => panic!("{name} byte {at} bit {bit}: {other}"),
            Ok((_, found, entries)) => {
                // Only behind the end: in room that was taken in advance.
                assert_entries(&entries, &all);
                assert!(found.torn.is_some(), "{name} byte {at} bit {bit}");
                assert_eq!((report.damage, report.torn), (None, found.torn));
                harmless += 1;
            }
        }
    }
    assert!(
        refused > 900,
        "{refused} refused, {harmless} behind the end"
    );
}

/// All that was durable is in one segment without a byte to spare: each flip must be refused.
#[test]
fn every_bit_of_a_small_journal_is_guarded() {
    let (files, all, _) = filled(12, 2);
    let name = crate::frame::segment_name(1);
    let end = files.bytes(&name).iter().rposition(|byte| *byte != 0);
    for at in 0..=end.unwrap() {
        for bit in 0..8 {
            let copy = files.copy();
            copy.edit(&name, |bytes| bytes[at] ^= 1 << bit);
            assert!(
                matches!(open(&copy), Err(OpenError::Damaged(_))),
                "byte {at} bit {bit} of {} records",
                all.len()
            );
        }
    }
}

#[test]
fn every_bit_of_the_head_is_guarded_or_does_not_matter() {
    let (files, all, _) = filled(13, 5);
    let length = files.bytes("head").len();
    let mut noticed = 0;
    for at in 0..length {
        let copy = files.copy();
        copy.edit("head", |bytes| bytes[at] ^= 1 << (at % 8));
        let (_, found, entries) = open(&copy).unwrap();
        assert_entries(&entries, &all);
        noticed += usize::from(!found.notices.is_empty());
        // It was mended on the way.
        assert_eq!(open(&copy).unwrap().1.notices, Vec::<String>::new());
    }
    assert_eq!(noticed, 2 * 128, "each byte of both slots is checked");
    let copy = files.copy();
    copy.edit("head", |bytes| bytes.fill(0));
    assert!(matches!(open(&copy), Err(OpenError::Damaged(_))));
}

#[test]
fn a_flip_behind_the_known_places_is_found_and_one_before_them_by_the_check() {
    use super::journal::{OPTIONS, open_with};
    use crate::JournalOptions;
    let (files, all, ends) = filled(14, 120);
    // What a checkpoint at the end of a middle group would know.
    let place = ends[60];
    let mut chain = None;
    let copy = files.copy();
    let (mut writer, _, _) = open(&crate::FaultyFiles::default()).unwrap();
    let mut from = 0;
    for end in &ends[..=60] {
        writer.append_group(&all[from..*end as usize]).unwrap();
        from = *end as usize;
        chain = Some(writer.chain());
    }
    let options = JournalOptions {
        known: Some((place, chain.unwrap())),
        check_known: false,
        ..OPTIONS
    };
    let (_, _, entries) = open_with(&copy, &options).unwrap();
    assert_entries(&entries, &all[place as usize..]);
    // The first segment holds only known places: it is not read again unless asked.
    copy.edit(&crate::frame::segment_name(1), |bytes| bytes[200] ^= 1);
    assert!(open_with(&copy, &options).is_ok());
    let checked = JournalOptions {
        check_known: true,
        ..options
    };
    assert!(matches!(
        open_with(&copy, &checked),
        Err(OpenError::Damaged(_))
    ));
    let wrong = JournalOptions {
        known: Some((place, [0; 32])),
        ..options
    };
    let error = open_with(&files, &wrong).unwrap_err().to_string();
    assert!(error.contains("the checkpoint"), "{error}");
}
