//! Why a directory could not be opened.

use std::{io, path::PathBuf};

use caxton_model::ErrorCode;

use crate::BlobError;

/// Something in a log that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file, within the log's folder.
    pub file: String,
    /// Where in it. Unit: bytes.
    pub offset: u64,
    /// The place of the first record that can't be read, as far as it is known.
    pub place: u64,
    /// The last record that may be concerned; more than `place` where the records between them can't
    /// be told apart.
    pub last_place: u64,
    /// What is wrong, in words.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} at byte {}, place {}: {}",
            self.file, self.offset, self.place, self.what
        )
    }
}

/// The end of the journal was half written when the process or the power went; nothing of it was
/// ever acknowledged, and it was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The file, within the journal's folder.
    pub file: String,
    /// Where the good part ends. Unit: bytes.
    pub offset: u64,
    /// The last good record.
    pub place: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
}

impl std::fmt::Display for TornTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} was half written behind place {} (byte {}): {} bytes that were never acknowledged",
            self.file, self.place, self.offset, self.bytes
        )
    }
}

/// Why a directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the file.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "{} is used by another node{}; stop it, or use another `--data`",
        path.display(),
        holder.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process's id, where it could be read.
        holder: Option<String>,
    },
    /// The folder is shared with other users and holds what is none of a node's.
    #[error(
        "{} is open to other users (mode {mode:04o}) and holds other files: a data directory is for one node and its user alone. Name a new or an empty directory with `--data`",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Durable records can't be read.
    #[error(
        "the journal is damaged: {0}. Nothing was changed. Keep the directory, run `caxton journal verify`, and restore from a copy"
    )]
    Damaged(Damage),
    /// Durable records of the audit log can't be read, or are not those that were signed.
    #[error(
        "the audit log is damaged: {0}. Nothing was changed. Keep the directory, and restore `audit` and `audit-heads` from a copy, or move both elsewhere so that a new log begins"
    )]
    AuditDamaged(Damage),
    /// The key that signed the audit log's heads is gone.
    #[error(
        "{} is missing, and the audit log was signed with it. Restore it from a copy, or move `audit` and `audit-heads` elsewhere so that a new log begins with a new key",
        path.display()
    )]
    NodeKeyMissing {
        /// The key's file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{file} has format {found}; this program knows up to {known}: use a newer one")]
    Version {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest format that can be read.
        known: u32,
    },
    /// The checkpoint is needed (older segments are gone) and can't be used.
    #[error(
        "the checkpoint can't be used ({reason}), and the journal begins only at place {journal_begins}, so it can't be rebuilt. Nothing was changed. Restore the directory from a copy"
    )]
    CheckpointLost {
        /// What is wrong with it.
        reason: String,
        /// The first record that the journal still has.
        journal_begins: u64,
    },
    /// The blobs' folder could not be opened.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

impl OpenError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { source, .. } if crate::blobs::is_no_space(source) => ErrorCode::DiskFull,
            Self::Io { .. } | Self::Version { .. } => ErrorCode::Internal,
            Self::Locked { .. } => ErrorCode::DirectoryLocked,
            Self::Foreign { .. } => ErrorCode::InvalidConfig,
            Self::Damaged(_)
            | Self::AuditDamaged(_)
            | Self::NodeKeyMissing { .. }
            | Self::CheckpointLost { .. } => ErrorCode::JournalDamaged,
            Self::Blobs(error) => error.code(),
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
