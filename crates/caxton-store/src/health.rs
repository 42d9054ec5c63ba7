//! What the node polls: whether the store keeps up, waits for room, or has failed.

use caxton_model::ErrorCode;

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// It writes.
    Good,
    /// The disk has no room: nothing is lost, turns stop, the edge answers 503.
    Full,
    /// The process has as many open files as it may have: nothing is lost, turns stop until others
    /// are closed, the edge answers 503.
    NoDescriptors,
    /// It can't go on: the process must end and recover.
    Failed,
}

/// What was stored as a number.
pub(crate) fn health_of(number: u8) -> Health {
    match number {
        0 => Health::Good,
        1 => Health::Full,
        2 => Health::NoDescriptors,
        _ => Health::Failed,
    }
}

/// Why a log can't go on. What was not yet durable is not to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFailed {
    /// A write or a sync failed: what the disk holds is unknown until it is read again.
    #[error("{what} failed: {reason}; the process must end and recover from the disk")]
    Disk {
        /// What was tried, with the file.
        what: String,
        /// What the system said.
        reason: String,
    },
    /// Another process writes this log, or it was moved, removed or replaced.
    #[error(
        "{log}/{file} was changed, moved or removed by another process; nothing more is acknowledged. Let one node alone use the data directory, run `caxton {log} verify`, then start the node again"
    )]
    NotAlone {
        /// The log's folder.
        log: &'static str,
        /// The file in it.
        file: String,
    },
    /// The checkpoint forgot what it had confirmed; opening again rebuilds it from the journal.
    #[error("the checkpoint fell back from place {expected} to {found}; start again to rebuild it")]
    CheckpointFellBack {
        /// The place it had confirmed.
        expected: u64,
        /// The place it has now.
        found: u64,
    },
    /// The store was closed before this was durable.
    #[error("the store was closed")]
    Closed,
}

impl StoreFailed {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Disk { .. } | Self::CheckpointFellBack { .. } | Self::NotAlone { .. } => {
                ErrorCode::Internal
            }
            Self::Closed => ErrorCode::ShuttingDown,
        }
    }
}
