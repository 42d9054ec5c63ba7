//! Names and ids of agents and their namespaces.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Names that belong to the host; nothing else may bear or send as one of them.
pub const RESERVED_NAMES: [&str; 3] = ["ams", "df", "workflows"];

/// Bytes of one part of a name.
///
/// 63 is what DNS labels allow, so that a name fits wherever labels do.
const NAME_BYTES_MAX: usize = 63;

/// Why a name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It does not have the form of a name.
    #[error(
        "expected a letter, then at most 62 letters, digits, `_`, `.` or `-`, optionally after `namespace/`; got `{text}`"
    )]
    Malformed {
        /// What was there (at most 100 characters of it).
        text: String,
    },
    /// It has the form of an id.
    #[error(
        "`{text}` has the form of an id, so nobody could be reached by it; choose another name"
    )]
    LikeId {
        /// The name.
        text: String,
    },
    /// It belongs to the host.
    #[error("`{text}` is reserved for the host; choose another name")]
    Reserved {
        /// The name.
        text: String,
    },
}

/// Whether a name belongs to the host: `ams`, `df`, `workflows` and `ext:…`, in any namespace.
#[must_use]
pub fn is_reserved_name(name: &str) -> bool {
    let local = name.rsplit('/').next().unwrap_or(name);
    local.starts_with("ext:") || RESERVED_NAMES.contains(&local)
}

fn is_name(part: &str) -> bool {
    let mut bytes = part.bytes();
    part.len() <= NAME_BYTES_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Where tokens, quotas and the default right to send end. Default: `main`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The namespace's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl Default for Namespace {
    fn default() -> Self {
        Self("main".into())
    }
}
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl FromStr for Namespace {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(malformed(text))
        }
    }
}

fn malformed(text: &str) -> NameError {
    NameError::Malformed {
        text: text.chars().take(100).collect(),
    }
}

/// An agent's name: `name`, or `namespace/name` outside the default namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName {
    namespace: Namespace,
    full: Arc<str>,
}

impl AgentName {
    /// Joins a namespace and a local name.
    ///
    /// Errors: [`NameError`], also for reserved names and for those that have the form of an id.
    pub fn new(namespace: &Namespace, local: &str) -> Result<Self, NameError> {
        if is_reserved_name(local) {
            return Err(NameError::Reserved {
                text: local.to_owned(),
            });
        }
        if !is_name(local) {
            return Err(malformed(local));
        }
        if AgentId::read(local).is_some() {
            return Err(NameError::LikeId {
                text: local.to_owned(),
            });
        }
        Ok(Self::build(namespace.clone(), local))
    }
    /// A name that was admitted once, as [`Self::as_str`] gives it: no rule for new names is asked.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, local)) => Self::build(Namespace(namespace.into()), local),
            None => Self::build(Namespace::default(), text),
        }
    }
    /// The name of one of the host's own agents, such as `df`.
    #[must_use]
    pub fn built_in(local: &str) -> Self {
        Self::build(Namespace::default(), local)
    }
    fn build(namespace: Namespace, local: &str) -> Self {
        let full = if namespace == Namespace::default() {
            local.into()
        } else {
            format!("{namespace}/{local}").into()
        };
        Self { namespace, full }
    }
    /// The namespace it stands in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
    /// As written: `name` in the default namespace, else `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }
    /// The shared text, for messages' sender fields.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.full)
    }
    /// The same where it stands.
    #[must_use]
    pub const fn as_shared(&self) -> &Arc<str> {
        &self.full
    }
    /// Without the namespace.
    #[must_use]
    pub fn local(&self) -> &str {
        self.full.rsplit('/').next().unwrap_or(&self.full)
    }
}
impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}
impl FromStr for AgentName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((namespace, local)) => {
                Self::new(&namespace.parse().map_err(|_| malformed(text))?, local)
            }
            None => Self::new(&Namespace::default(), text),
        }
    }
}

/// An agent's id, given at deploy, never given again: `a-` and 16 hex digits.
///
/// It names no place; the directory knows where the agent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "IdText", into = "IdText")]
pub struct AgentId(pub u64);

impl AgentId {
    /// The id that a text is, if it is one: most texts are names.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("a-")?;
        let is_hex = hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(hex, 16).ok();
        number.filter(|_| is_hex).map(Self)
    }
    /// The built-in agent management system.
    pub const AMS: Self = Self(1);
    /// The built-in directory facilitator.
    pub const DF: Self = Self(2);
}
impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a-{:016x}", self.0)
    }
}
impl FromStr for AgentId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::read(text).ok_or_else(|| malformed(text))
    }
}

/// How an id travels: text for people, a number in the journal.
struct IdText(u64);
impl From<AgentId> for IdText {
    fn from(id: AgentId) -> Self {
        Self(id.0)
    }
}
impl TryFrom<IdText> for AgentId {
    type Error = NameError;
    fn try_from(text: IdText) -> Result<Self, NameError> {
        Ok(Self(text.0))
    }
}
impl Serialize for IdText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&AgentId(self.0))
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}
impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let id: AgentId = String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)?;
            Ok(Self(id.0))
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

macro_rules! serde_as_text {
    ($type:ty, $parse:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<Self, NameError> = $parse;
                parse(&text).map_err(de::Error::custom)
            }
        }
    };
}
serde_as_text!(Namespace, str::parse);
serde_as_text!(AgentName, |text| match text.parse() {
    Err(NameError::Reserved { .. }) => Ok(AgentName::built_in(text)),
    // Such names were given once.
    Err(NameError::LikeId { .. }) => Ok(AgentName::from_stored(text)),
    other => other,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let name: AgentName = "worker-1".parse().unwrap();
        assert_eq!(
            (name.namespace().as_str(), name.as_str()),
            ("main", "worker-1")
        );
        let name: AgentName = "acme/worker".parse().unwrap();
        assert_eq!(
            (name.namespace().as_str(), name.local()),
            ("acme", "worker")
        );
        assert_eq!("main/x".parse::<AgentName>().unwrap().as_str(), "x");
        let long = format!("a{}", "b".repeat(63));
        for bad in [
            "",
            "1a",
            "a b",
            "a/b/c",
            "/a",
            "a/",
            "ä",
            long.as_str(),
            "a@node",
            "a\0",
        ] {
            assert!(
                matches!(bad.parse::<AgentName>(), Err(NameError::Malformed { .. })),
                "{bad}"
            );
        }
        for like_id in ["a-0000000000000001", "acme/a-00000000DEADBEEF"] {
            assert!(matches!(
                like_id.parse::<AgentName>(),
                Err(NameError::LikeId { .. })
            ));
            let stored: AgentName = serde_json::from_value(like_id.into()).unwrap();
            assert_eq!(stored.as_str(), like_id);
        }
        for reserved in ["ams", "df", "workflows", "ext:jira", "acme/df"] {
            assert!(matches!(
                reserved.parse::<AgentName>(),
                Err(NameError::Reserved { .. })
            ));
        }
    }

    #[test]
    fn ids_go_there_and_back() {
        let id = AgentId(0xfeed);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("a-feed".parse::<AgentId>().is_err());
        assert_eq!(
            serde_json::to_string(&id).unwrap(),
            "\"a-000000000000feed\""
        );
    }
}
