//! What tells one kind of log from another: how its files begin, and which records it keeps.
//!
//! Writer, scanner and chain are the same for all kinds. A kind is a type without values, so that
//! nothing of the choice is left when the program runs.

use caxton_model::Timestamp;

use crate::{
    form::{decode, encode},
    v5,
};

/// A kind of log: the journal, or the audit log.
pub trait Log {
    /// A record of the model.
    type Record;
    /// How the log's files begin.
    const LAYOUT: &'static Layout;
    /// Appends a record's body to a buffer.
    ///
    /// Errors: in words.
    fn encode(record: &Self::Record, buffer: &mut Vec<u8>) -> Result<(), String>;
    /// Reads a record's body, of this version or any before it. Safe for any bytes.
    ///
    /// Errors: in words; also if bytes are left over behind the record.
    fn decode(body: &[u8]) -> Result<Self::Record, String>;
    /// The timestamp of a record.
    fn at(record: &Self::Record) -> Timestamp;
    /// A record in words, for an error.
    fn describe(record: &Self::Record) -> String;
}

/// How the files of one kind of log begin, and what errors call it.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The log's folder in the data directory, and the command that verifies it.
    pub(crate) folder: &'static str,
    /// The format that this program writes, and the newest that it reads.
    pub(crate) format: u32,
    pub(crate) segment_magic: [u8; 8],
    pub(crate) head_magic: [u8; 8],
    /// The context of the chain before the first group.
    pub(crate) genesis: &'static str,
    /// The context of the key that checks groups' headers.
    pub(crate) check: &'static str,
}

/// The journal: what the node decided.
#[derive(Debug)]
pub enum JournalLog {}

/// How the journal's files begin. `docs/specs/journal.md` has it.
pub(crate) static JOURNAL: Layout = Layout {
    folder: "journal",
    format: 5,
    segment_magic: *b"CAXTONJ\n",
    head_magic: *b"CAXTONH\n",
    genesis: "caxton journal 1: chain before the first group",
    check: "caxton journal 1: check of a group's header",
};

impl Log for JournalLog {
    type Record = caxton_model::Entry;
    const LAYOUT: &'static Layout = &JOURNAL;

    fn encode(entry: &Self::Record, buffer: &mut Vec<u8>) -> Result<(), String> {
        encode::<v5::Entry>(entry, buffer)
    }
    fn decode(body: &[u8]) -> Result<Self::Record, String> {
        decode::<v5::Entry>(body)
    }
    fn at(entry: &Self::Record) -> Timestamp {
        entry.at
    }
    fn describe(entry: &Self::Record) -> String {
        format!("record {} of shard {}", entry.seq, entry.shard)
    }
}
