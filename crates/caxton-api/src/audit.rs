//! The audit log: who did what, to what, and what came of it.

use std::collections::BTreeMap;

use caxton_model::{AuditRecord, format_rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One record of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the log, from 1.
    pub place: u64,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// The namespace in which it happened; absent: it concerns the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Who acted.
    pub subject: AuditParty,
    /// What was done.
    #[schema(example = "gate-decision")]
    pub action: String,
    /// What came of it: `allowed`, `denied`, `requested` (about to be performed), `succeeded` or
    /// `failed`.
    #[schema(example = "denied")]
    pub outcome: String,
    /// The permission that the gate was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// On what it was done: an address, a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// More about it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditParty {
    /// What it is: `node`, `operator`, `token`, `client` or `agent`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its id, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl AuditEntry {
    /// A record as it is shown.
    #[must_use]
    pub fn new(place: u64, record: AuditRecord) -> Self {
        Self {
            place,
            at: format_rfc3339(record.at),
            namespace: record.namespace,
            subject: AuditParty {
                kind: record.subject.kind.to_string(),
                name: record.subject.name,
                id: Some(record.subject.id).filter(|id| !id.is_empty()),
            },
            action: record.action.to_string(),
            outcome: record.outcome.to_string(),
            permission: record.permission.map(|permission| permission.to_string()),
            target: record.target,
            details: record.details.into_iter().collect(),
        }
    }
}

/// A head of the audit log that the node's key signed: who keeps it elsewhere can tell later whether
/// the log up to its place is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The log's id, hexadecimal.
    pub log: String,
    /// The last record that it covers.
    pub place: u64,
    /// The chain behind that record, hexadecimal.
    pub chain: String,
    /// The first record that the log keeps: all before it were trimmed.
    pub begins: u64,
    /// The latest time of the records up to there.
    #[schema(format = DateTime)]
    pub at: String,
    /// The node's public Ed25519 key, hexadecimal.
    pub key: String,
    /// The Ed25519 signature, hexadecimal.
    pub signature: String,
}

/// What a check of the whole audit log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditCheck {
    /// Whether every record is as it was written, and the log fits every signed head.
    pub good: bool,
    /// Good records.
    pub records: u64,
    /// The first record that is kept.
    pub begins: u64,
    /// The last good record.
    pub place: u64,
    /// The place of the newest signed head that the log was compared with.
    pub signed_place: u64,
    /// The log's id, hexadecimal.
    pub log: String,
    /// The public key by which heads were checked, hexadecimal; empty: there was none.
    pub key: String,
    /// The chain behind the last good record, hexadecimal.
    pub chain: String,
    /// The first thing that is not as it was written, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// The first record that is damaged or missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged_from: Option<u64>,
    /// The last record that may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged_to: Option<u64>,
    /// The half-written end, which the next start cuts off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn_tail: Option<String>,
    /// Harmless things worth knowing, in words.
    #[serde(default)]
    pub notices: Vec<String>,
}
