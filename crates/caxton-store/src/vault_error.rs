//! Why the vault refuses.

use std::io;

use caxton_model::{ErrorCode, HostCode};

use crate::{
    SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX,
    blobs::{is_no_descriptor, is_no_space},
    vault::VAULT_BYTES_MAX,
};

/// Why the vault did not do what it was asked. No text contains anything of a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is no key, or not the right one.
    #[error("the vault is closed: {reason}")]
    Closed {
        /// Why, and how to open it.
        reason: String,
    },
    /// Nothing has that name.
    #[error("there is no secret `{name}` in the vault")]
    NotFound {
        /// The name.
        name: String,
    },
    /// A record can't be opened.
    #[error("the secret `{name}` {problem}; set it again, or restore its file from a copy")]
    Damaged {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A value is too short or too long.
    #[error(
        "the value of `{name}` has {bytes} bytes, and a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
    )]
    Size {
        /// The name.
        name: String,
        /// Bytes of the value.
        bytes: usize,
    },
    /// The vault is full.
    #[error("the vault takes at most {SECRETS_MAX} secrets and {VAULT_BYTES_MAX} bytes")]
    Full,
    /// The file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on which file.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl VaultError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Closed { .. } => ErrorCode::VaultClosed,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Damaged { .. } => ErrorCode::Conflict,
            Self::Size { .. } => ErrorCode::MalformedRequest,
            Self::Full => ErrorCode::NodeBudget,
            Self::Io { source, .. } if is_no_space(source) => ErrorCode::DiskFull,
            Self::Io { source, .. } if is_no_descriptor(source) => ErrorCode::NodeBudget,
            Self::Io { .. } => ErrorCode::Internal,
        }
    }
    /// What a guest is answered.
    #[must_use]
    pub const fn host_code(&self) -> HostCode {
        match self {
            Self::NotFound { .. } => HostCode::NotFound,
            Self::Size { bytes, .. } if *bytes > SECRET_BYTES_MAX => HostCode::TooLarge,
            Self::Size { .. } => HostCode::Malformed,
            Self::Full => HostCode::QuotaReached,
            Self::Closed { .. } | Self::Damaged { .. } | Self::Io { .. } => HostCode::Unavailable,
        }
    }
}
