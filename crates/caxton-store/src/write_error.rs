//! Why a group is not durable: for good, or as long as the system lacks something.

use std::io;

use crate::{
    StoreFailed,
    blobs::{is_no_descriptor, is_no_space},
};

/// Why a group is not durable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The system lacks something now. Nothing is lost: the group is kept, and the next try may write
    /// it.
    #[error("can't {what} now: {source}")]
    Blocked {
        /// What it lacks.
        lack: Lack,
        /// What was to be written.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The journal can't go on.
    #[error(transparent)]
    Failed(#[from] StoreFailed),
}

/// What the system lacks to write the journal; others may give it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Room on the disk.
    Room,
    /// File descriptors.
    Descriptors,
}

impl Lack {
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        if is_no_space(error) {
            Some(Self::Room)
        } else if is_no_descriptor(error) {
            Some(Self::Descriptors)
        } else {
            None
        }
    }
}
