//! How a log is opened, and what opening it found.

use caxton_model::Timestamp;

use crate::{Chain, TornTail};

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// Size of a segment. Unit: bytes.
    pub segment_bytes: u64,
    /// The identity of a log that is made new.
    pub new_id: [u8; 32],
    /// The place and chain up to which records are known already; they are not visited.
    pub known: Option<(u64, Chain)>,
    /// Whether segments wholly before that place are read and checked, too.
    pub check_known: bool,
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFound {
    /// The first record that is still there.
    pub begins: u64,
    /// The last durable record.
    pub place: u64,
    /// The latest time in the last records; 0 if there are none.
    pub newest: Timestamp,
    /// The chain behind it.
    pub chain: Chain,
    /// The half-written end that was cut off.
    pub torn: Option<TornTail>,
    /// Things the operator should hear of, in words.
    pub notices: Vec<String>,
}

/// How the journal is opened.
pub type JournalOptions = LogOptions;
/// What opening the journal found.
pub type JournalFound = LogFound;
