//! What a token may do.

use std::{fmt, str::FromStr};

use caxton_model::nearest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing a token may do. `admin` includes the others.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// See agents, messages, state, logs, events and metrics.
    Read,
    /// Send messages and read the replies to them.
    Send,
    /// Deploy, update, stop, start and remove agents; resend dead letters.
    Operate,
    /// Everything, grants and tokens too.
    Admin,
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no scope{}; there are read, send, operate and admin", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct UnknownScope {
    text: String,
    nearest: Option<&'static str>,
}

impl Scope {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Operate, Self::Admin];
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope {
                text: text.chars().take(100).collect(),
                nearest: nearest(text, Self::ALL.map(Self::as_str)),
            })
    }
}
