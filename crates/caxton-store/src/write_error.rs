//! Why a group is not durable: for good, or as long as the system lacks something.

use std::io;

use crate::{
    StoreFailed,
    blobs::{is_no_descriptor, is_no_space},
    log::Log,
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

/// A file of the log, for an error.
pub(crate) fn at<L: Log>(name: &str) -> String {
    format!("{}/{name}", L::LAYOUT.folder)
}

/// A write of a log's file that failed.
pub(crate) fn write_failed<L: Log>(name: &str) -> impl FnOnce(io::Error) -> WriteError {
    let name = at::<L>(name);
    move |source| match Lack::of(&source) {
        Some(lack) => WriteError::Blocked {
            lack,
            what: format!("write {name}"),
            source,
        },
        None => WriteError::Failed(StoreFailed::Disk {
            what: format!("writing {name}"),
            reason: source.to_string(),
        }),
    }
}

/// A sync that failed is never tried again: the system may have forgotten what it had to write.
pub(crate) fn sync_failed<L: Log>(name: &str) -> impl FnOnce(io::Error) -> StoreFailed {
    let what = format!("syncing {}", at::<L>(name));
    move |error| StoreFailed::Disk {
        what,
        reason: error.to_string(),
    }
}
