//! The format, byte by byte, as `docs/specs/journal.md` shows it.

use std::fmt::Write as _;

use caxton_model::{Entry, Record, Timestamp};
use expect_test::expect_file;

use super::{
    faulty::Faulty,
    journal::{OPTIONS, open_with},
};
use crate::{JournalOptions, frame::segment_name};

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, sixteen) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:04x} ", row * 16);
        for byte in sixteen {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_worked_example_of_the_specification() {
    let files = Faulty::default();
    let options = JournalOptions {
        segment_bytes: 512,
        ..OPTIONS
    };
    let mut writer = open_with(&files, &options).unwrap().0;
    writer
        .append_group(&[Entry {
            shard: 0,
            seq: 1,
            at: Timestamp(1_700_000_000_000_000),
            record: Record::NodeStarted {
                shards: 2,
                version: "0.1.0".to_owned(),
            },
        }
        .into()])
        .unwrap();
    let segment = files.bytes(&segment_name(1));
    let used = segment.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let head = files.bytes("head");
    let text = format!(
        "0000000001.seg, {used} bytes, then zeros\n{}\nhead, slot 0\n{}\nhead, slot 1\n{}",
        hex(&segment[..used]),
        hex(&head[..128]),
        hex(&head[4096..4096 + 128]),
    );
    expect_file!["../../../../docs/specs/journal-example.txt"].assert_eq(&text);
}
