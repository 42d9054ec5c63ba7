//! Why a call failed.

use std::{path::PathBuf, time::Duration};

use caxton_api::Problem;
use caxton_model::ErrorCode;

/// Why a call to a node failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The node refused, and said why and what to do.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The node could not be reached, or the connection broke.
    #[error("no answer from {url}: {source}; is the node running, and is this its address?")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The message was accepted, but no reply came in time.
    #[error("message {id} was accepted, but no reply came within {waited:?}")]
    NoReply {
        /// The message's id on the node.
        id: String,
        /// How long was waited.
        waited: Duration,
    },
    /// What came is not what the API promises: another program, or another version.
    #[error("an answer from {url} that this client can't read: {reason}")]
    Unreadable {
        /// What was called.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address is none.
    #[error("`{url}` is no address of a node: {reason}; they look like http://127.0.0.1:8080")]
    Address {
        /// What was given.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The token file is there but can't be read.
    #[error("the token file {}: {source}; set CAXTON_TOKEN, or make it readable", .path.display())]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No node uses the data directory: after a crash its address may be another program's by now.
    #[error("no node runs with the data directory {}", .directory.display())]
    NotRunning {
        /// Which.
        directory: PathBuf,
    },
    /// The data directory, or the socket in it, can't be reached.
    #[error("the data directory {}: {source}", .directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A variable that must be text is none.
    #[error("the environment variable {variable} is not UTF-8; set it to text, or unset it")]
    NotText {
        /// Its name.
        variable: &'static str,
    },
    /// The HTTP client could not be made.
    #[error("making the HTTP client: {0}")]
    Setup(reqwest::Error),
}

impl ClientError {
    /// What the node said, if it was the node that refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
    /// Whether the same request may work a little later: nobody answered, or the node is busy or
    /// about to end.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotRunning { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 503),
            _ => false,
        }
    }
    /// The stable code, if it was the node that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::NoReply { .. } => Some(ErrorCode::Timeout),
            _ => self.problem().and_then(Problem::error_code),
        }
    }
}
