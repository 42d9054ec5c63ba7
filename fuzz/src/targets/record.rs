//! Journal records: any bytes are an error or an entry, an entry is written as it was read, and any
//! entries in any order are applied without a panic.

use caxton_model::{Entry, State};
use caxton_store::{decode_entry, encode_entry};

pub fn check(bytes: &[u8]) {
    let mut state = State::tracked();
    // Bodies one behind the other, each with its length in two bytes before it.
    let mut rest = bytes;
    while let Some((length, body)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(body.len());
        let (body, behind) = body.split_at(length);
        rest = behind;
        match decode_entry(body) {
            Ok(entry) => {
                check_entry(&entry, body);
                state.replay(&entry);
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}

fn check_entry(entry: &Entry, body: &[u8]) {
    let written = bytes_of(entry);
    let again = decode_entry(&written).expect("what was written is read");
    assert_eq!(&again, entry);
    // Written the same again, also where the bytes it came from were a longer way to say it.
    assert_eq!(bytes_of(&again), written);
    assert!(entry.record.sent().len() <= body.len());
    assert!(!entry.record.kind().is_empty());
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry(entry, &mut bytes).expect("an entry can be written");
    bytes
}
