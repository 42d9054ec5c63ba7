//! What the audit log keeps: who did what, to what, and what came of it.
//!
//! No payloads and no secrets stand in it. Texts of guests are kept verbatim, within bounds.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{Permission, Timestamp, format_rfc3339, nearest};

/// Bytes of a name in an audit record: the namespace, the subject's name and id, a detail's name.
pub const AUDIT_NAME_BYTES_MAX: usize = 256;
/// Bytes of a value in an audit record: the target, a detail's value.
pub const AUDIT_VALUE_BYTES_MAX: usize = 4096;
/// Details of one audit record.
pub const AUDIT_DETAILS_MAX: usize = 32;

/// Text at the end of what was cut.
const CUT_MARK: &str = "…(cut)";

/// One record of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// The timestamp of the act.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// The namespace in which it happened; `None`: it concerns the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Who acted.
    pub subject: AuditSubject,
    /// What was done.
    pub action: AuditAction,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The permission that the gate was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    /// On what it was done, as it may be shown: an address, a path, a name; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// More about it; `docs/specs/audit.md` lists the names for each action.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditSubject {
    /// What the subject is.
    pub kind: AuditSubjectKind,
    /// The subject's name.
    pub name: String,
    /// The subject's id; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
}

impl AuditRecord {
    /// A record of an act, without namespace, permission, target and details.
    #[must_use]
    pub fn new(
        at: Timestamp,
        subject: AuditSubject,
        action: AuditAction,
        outcome: AuditOutcome,
    ) -> Self {
        Self {
            at,
            namespace: None,
            subject,
            action,
            outcome,
            permission: None,
            target: None,
            details: Vec::new(),
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.push((name.into(), value.into()));
        self
    }

    /// Cuts what is longer than a record may hold, and marks where it did.
    pub fn cut(&mut self) {
        for name in [&mut self.subject.name, &mut self.subject.id]
            .into_iter()
            .chain(&mut self.namespace)
        {
            cut(name, AUDIT_NAME_BYTES_MAX);
        }
        if let Some(target) = &mut self.target {
            cut(target, AUDIT_VALUE_BYTES_MAX);
        }
        if self.details.len() > AUDIT_DETAILS_MAX {
            let more = self.details.len() - (AUDIT_DETAILS_MAX - 1);
            self.details.truncate(AUDIT_DETAILS_MAX - 1);
            let cut = ("cut".to_owned(), format!("{more} details"));
            self.details.push(cut);
        }
        for (name, value) in &mut self.details {
            cut(name, AUDIT_NAME_BYTES_MAX);
            cut(value, AUDIT_VALUE_BYTES_MAX);
        }
    }

    /// About what the record takes in memory and on disk. Unit: bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let details = self.details.iter();
        size_of::<Self>()
            + self.namespace.as_ref().map_or(0, String::len)
            + self.subject.name.len()
            + self.subject.id.len()
            + self.target.as_ref().map_or(0, String::len)
            + details
                .map(|(name, value)| size_of::<(String, String)>() + name.len() + value.len())
                .sum::<usize>()
    }
}

/// Cuts a text to so many bytes, its mark included.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() <= bytes_max {
        return;
    }
    let mut end = bytes_max - CUT_MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(CUT_MARK);
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_rfc3339(*at))
}

/// A word that is none of a closed list of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what} of the audit log{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct AuditWordError {
    what: &'static str,
    text: String,
    nearest: Option<&'static str>,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "each is its own text")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($variant,)* }
        impl $name {
            /// The closed list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = AuditWordError;
            fn from_str(text: &str) -> Result<Self, AuditWordError> {
                let mut all = Self::ALL.iter().copied();
                all.find(|word| word.as_str() == text).ok_or_else(|| AuditWordError {
                    what: $what,
                    text: text.chars().take(100).collect(),
                    nearest: nearest(text, Self::ALL.iter().map(|word| word.as_str())),
                })
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a subject is.
    AuditSubjectKind, "kind of subject" {
        Node = "node",
        Operator = "operator",
        Token = "token",
        Client = "client",
        Agent = "agent",
    }
}

words! {
    /// What came of an act.
    AuditOutcome, "outcome" {
        Allowed = "allowed",
        Denied = "denied",
        Requested = "requested",
        Succeeded = "succeeded",
        Failed = "failed",
    }
}

words! {
    /// What was done.
    AuditAction, "action" {
        GateDecision = "gate-decision",
        Install = "install",
        SignatureVerdict = "signature-verdict",
        Grant = "grant",
        Denial = "denial",
        Revocation = "revocation",
        Approval = "approval",
        Deploy = "deploy",
        Start = "start",
        Stop = "stop",
        Update = "update",
        Rollback = "rollback",
        Remove = "remove",
        ActionCall = "action-call",
        RunOutcome = "run-outcome",
        StepOutcome = "step-outcome",
        Fault = "fault",
        OutboundRequest = "outbound-request",
        FileOpened = "file-opened",
        SocketOpened = "socket-opened",
        VaultUse = "vault-use",
        SecretUse = "secret-use",
        Event = "event",
        KeyChange = "key-change",
        TrustChange = "trust-change",
        PolicyChange = "policy-change",
        ConfigChange = "config-change",
        Login = "login",
        ApiRefusal = "api-refusal",
        TurnChain = "turn-chain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AuditRecord {
        let subject = AuditSubject {
            kind: AuditSubjectKind::Agent,
            name: "a".to_owned(),
            id: "7".to_owned(),
        };
        let (action, outcome) = (AuditAction::GateDecision, AuditOutcome::Denied);
        AuditRecord::new(Timestamp(0), subject, action, outcome)
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark() {
        let mut record = record().with("n".repeat(257), "ä".repeat(2_049));
        record.target = Some("t".repeat(AUDIT_VALUE_BYTES_MAX));
        for at in 0..AUDIT_DETAILS_MAX {
            record = record.with(at.to_string(), "v");
        }
        record.cut();
        let target = record.target.as_ref().unwrap();
        assert_eq!(target.len(), AUDIT_VALUE_BYTES_MAX);
        assert!(!target.ends_with(CUT_MARK));
        let (name, value) = &record.details[0];
        assert!(name.len() <= AUDIT_NAME_BYTES_MAX && name.ends_with(CUT_MARK));
        assert!(value.len() <= AUDIT_VALUE_BYTES_MAX && value.ends_with(CUT_MARK));
        assert_eq!(record.details.len(), AUDIT_DETAILS_MAX);
        let last = record.details.last().unwrap();
        assert_eq!((&*last.0, &*last.1), ("cut", "2 details"));
        let again = record.clone();
        record.cut();
        assert_eq!(record, again);
    }

    #[test]
    fn words_of_the_audit_log_are_read_as_they_are_written() {
        for action in AuditAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        let error = "deploi".parse::<AuditAction>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`deploi` is no action of the audit log; did you mean `deploy`?"
        );
    }
}
