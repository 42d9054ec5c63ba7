//! The numbers a host function answers with when it refuses.

use serde::{Deserialize, Serialize};

/// A refusal, as the guest sees it. One table for all host functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(i32)]
pub enum HostCode {
    /// No such key, timer, subscription or receiver.
    NotFound = -1,
    /// The bytes are not what the function takes.
    Malformed = -2,
    /// A permission is missing.
    Denied = -3,
    /// Over the limit for one item.
    TooLarge = -4,
    /// Over the limit per second.
    RateLimited = -5,
    /// The receiver's mailbox is full.
    QueueFull = -6,
    /// Over the limit for all items together.
    QuotaReached = -7,
    /// It exists but can't be had now.
    Unavailable = -8,
}

impl HostCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::NotFound,
        Self::Malformed,
        Self::Denied,
        Self::TooLarge,
        Self::RateLimited,
        Self::QueueFull,
        Self::QuotaReached,
        Self::Unavailable,
    ];
    /// The number the guest gets.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        self as i32
    }
    /// The code for this number.
    #[must_use]
    pub fn from_i32(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_i32() == number)
    }
}
