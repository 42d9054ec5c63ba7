//! The mark that every batch writes into each table of a checkpoint: how far the table goes, and what
//! it must hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Chain;

/// The format of the mark that is written. Format 1 stood in one table alone and had no tally.
const MARK_FORMAT: u32 = 2;

/// Up to where a checkpoint goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Meta {
    /// The last record that it covers; 0: none.
    pub(crate) place: u64,
    pub(crate) chain: Chain,
    /// The last record of each shard.
    pub(crate) seqs: BTreeMap<u16, u64>,
}

/// What a table holds, without its mark: the number of entries, and the sum of their hashes. The order
/// does not count, so that a change costs the hashes of the entries that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) entries: u64,
    sum: u128,
}

impl Tally {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(key, value));
    }

    pub(crate) fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(hash(key, value));
    }
}

/// The first half of BLAKE3 over the key's length, the key and the value.
fn hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key).update(value);
    let mut half = [0; 16];
    hasher.finalize_xof().fill(&mut half);
    u128::from_le_bytes(half)
}

/// What stands under the mark's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) meta: Meta,
    /// `None`: written in format 1.
    pub(crate) tally: Option<Tally>,
}

#[derive(Serialize, Deserialize)]
struct First {
    format: u32,
    place: u64,
    chain: Chain,
    seqs: BTreeMap<u16, u64>,
}

#[derive(Serialize, Deserialize)]
struct Second {
    first: First,
    entries: u64,
    sum: [u8; 16],
}

/// Encodes a mark.
pub(crate) fn encode_mark(meta: &Meta, tally: &Tally) -> postcard::Result<Vec<u8>> {
    postcard::to_stdvec(&Second {
        first: First {
            format: MARK_FORMAT,
            place: meta.place,
            chain: meta.chain,
            seqs: meta.seqs.clone(),
        },
        entries: tally.entries,
        sum: tally.sum.to_le_bytes(),
    })
}

/// Decodes a mark of any format up to this program's.
///
/// Errors: in words.
pub(crate) fn decode_mark(bytes: &[u8]) -> Result<Mark, String> {
    let read = |error: postcard::Error| error.to_string();
    let (first, tally) = match postcard::take_from_bytes::<u32>(bytes).map_err(read)?.0 {
        1 => (postcard::from_bytes(bytes).map_err(read)?, None),
        MARK_FORMAT => {
            let second: Second = postcard::from_bytes(bytes).map_err(read)?;
            let tally = Tally {
                entries: second.entries,
                sum: u128::from_le_bytes(second.sum),
            };
            (second.first, Some(tally))
        }
        other => {
            return Err(format!(
                "its format is {other}, and this program knows up to {MARK_FORMAT}"
            ));
        }
    };
    let meta = Meta {
        place: first.place,
        chain: first.chain,
        seqs: first.seqs,
    };
    Ok(Mark { meta, tally })
}
