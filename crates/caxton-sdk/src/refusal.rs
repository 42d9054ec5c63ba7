//! The host's no, with what was asked.

use std::fmt;

use caxton_model::HostCode;

/// A host function refused, or gave something unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A code of the host's table.
    Code {
        /// The host function.
        function: &'static str,
        /// Why, as the host's number.
        number: i32,
    },
    /// What was to be sent or was stored is not the JSON it should be.
    Json(String),
}

impl Refusal {
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }

    /// The host's reason, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<HostCode> {
        match self {
            Self::Code { number, .. } => HostCode::from_i32(*number),
            Self::Json(_) => None,
        }
    }
}

/// 0 and above is the answer, below is a refusal.
pub(crate) fn answer(function: &'static str, number: i32) -> Result<i32, Refusal> {
    if number < 0 {
        Err(Refusal::Code { function, number })
    } else {
        Ok(number)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(reason) => write!(f, "not the JSON it should be: {reason}"),
            Self::Code { function, number } => {
                let why = match self.code() {
                    Some(HostCode::NotFound) => "not found",
                    Some(HostCode::Malformed) => "malformed",
                    Some(HostCode::Denied) => "denied: a permission is missing",
                    Some(HostCode::TooLarge) => "too large",
                    Some(HostCode::RateLimited) => "rate limited: try again later",
                    Some(HostCode::QueueFull) => "the receiver's mailbox is full",
                    Some(HostCode::QuotaReached) => "the limit for all together is reached",
                    Some(HostCode::Unavailable) => "unavailable now",
                    None => "unknown code",
                };
                write!(f, "{function}: {why} ({number})")
            }
        }
    }
}

impl std::error::Error for Refusal {}
