//! Rights: what a manifest asks for and an operator grants.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::nearest;

/// What an import can do. One closed table; `docs/permissions.md` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportClass {
    /// Always linked: own state, timers, log, capabilities, time, seeded random, messages.
    Baseline,
    /// What standard libraries import anyway; linked, and gives nothing.
    Plumbing,
    /// Serves only a right; without that permission it is refused.
    Right(Permission),
}

macro_rules! permissions {
    ($($variant:ident = $text:literal,)*) => {
        /// A right by name, without its pattern.
        #[allow(missing_docs, reason = "each is its own text")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission { $($variant,)* }
        impl Permission {
            /// The closed list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// `resource:action`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

permissions! {
    HttpRead = "http:read",
    HttpWrite = "http:write",
    HttpServe = "http:serve",
    FsRead = "fs:read",
    FsWrite = "fs:write",
    EnvRead = "env:read",
    NetTcp = "net:tcp",
    NetUdp = "net:udp",
    NetListen = "net:listen",
    VaultRead = "vault:read",
    VaultWrite = "vault:write",
    SecretUse = "secret:use",
    EventEmit = "event:emit",
    EventListen = "event:listen",
    DataRead = "data:read",
    DataWrite = "data:write",
    MessageSend = "message:send",
    MessageListen = "message:listen",
    WorkflowRun = "workflow:run",
    ExtCall = "ext:call",
    RandomSecure = "random:secure",
}

impl Permission {
    /// Whether this version performs what the permission allows, so that granting it means something.
    #[must_use]
    pub const fn is_performed(self) -> bool {
        matches!(
            self,
            Self::MessageSend
                | Self::HttpRead
                | Self::HttpWrite
                | Self::FsRead
                | Self::FsWrite
                | Self::EnvRead
                | Self::VaultRead
                | Self::VaultWrite
                | Self::DataRead
                | Self::DataWrite
                | Self::SecretUse
                | Self::EventEmit
                | Self::EventListen
                | Self::RandomSecure
        )
    }
}

/// The permissions that a guest was granted anything with.
pub type Permissions = std::collections::BTreeSet<Permission>;

impl Permission {
    /// Whether an import that serves this right is opened by what was granted.
    #[must_use]
    pub fn is_opened_by(self, granted: &Permissions) -> bool {
        match self {
            Self::HttpRead | Self::HttpWrite => {
                granted.contains(&Self::HttpRead) || granted.contains(&Self::HttpWrite)
            }
            other => granted.contains(&other),
        }
    }
}

/// A word that is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no permission{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct PermissionError {
    text: String,
    nearest: Option<&'static str>,
}

impl FromStr for Permission {
    type Err = PermissionError;
    fn from_str(text: &str) -> Result<Self, PermissionError> {
        Self::ALL
            .iter()
            .copied()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| PermissionError {
                text: text.chars().take(100).collect(),
                nearest: nearest(text, Self::ALL.iter().map(|p| p.as_str())),
            })
    }
}
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// What a guest may do beyond the baseline: requested ∩ granted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Receivers outside the own namespace, as globs (`"df"`, `"acme/worker-*"`, `"capability:x"`).
    /// `None`: the own namespace and the host's agents, which is the default.
    pub message_send: Option<Vec<String>>,
}

impl Grants {
    /// Whether this guest may send to that receiver.
    ///
    /// `target` is the receiver's full name, or `capability:NAME`; `same_namespace` says whether
    /// the receiver lives in the sender's namespace or is one of the host's own agents.
    #[must_use]
    pub fn allows_message_to(&self, target: &str, same_namespace: bool) -> bool {
        match &self.message_send {
            None => same_namespace,
            Some(patterns) => patterns.iter().any(|pattern| glob(pattern, target)),
        }
    }
}

/// Whether a text fits a pattern in which `*` stands for any run of characters.
///
/// Cost: linear in pattern × text; no backtracking beyond the last `*`.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, fits) in [
            ("worker-*", "worker-12", true),
            ("worker-*", "worker", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("", "x", false),
            ("df", "df", true),
            ("*a", "bbba", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn without_a_grant_the_namespace_is_the_border() {
        let none = Grants::default();
        assert!(none.allows_message_to("peer", true) && !none.allows_message_to("acme/x", false));
        let some = Grants {
            message_send: Some(vec!["acme/*".into()]),
        };
        assert!(some.allows_message_to("acme/x", false) && !some.allows_message_to("peer", true));
        assert!(
            !Grants {
                message_send: Some(vec![])
            }
            .allows_message_to("peer", true)
        );
    }
}
