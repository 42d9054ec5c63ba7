//! What agents are granted, and the accesses that their turns make.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A change of what an agent is granted. It counts from the agent's next access on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantChange {
    /// Rules to grant: `http:read=api.example.com/repos/**`. One with the same text is replaced.
    pub grant: Vec<String>,
    /// Rules to take back, as the agent's list of grants writes them.
    pub revoke: Vec<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the granted rules count. Default: until they are revoked. Unit: seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::whole_number"
    )]
    pub expires_s: Option<u64>,
}

/// One rule that an agent is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantEntry {
    /// The permission and what is granted with it.
    #[schema(example = "http:read=api.example.com/repos/**")]
    pub rule: String,
    /// The token by which it was granted.
    pub by: String,
    /// When it was granted.
    #[schema(format = DateTime)]
    pub at: String,
    /// Until when it counts; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the agent's manifest asks for something that this gives: the one pattern includes the
    /// other. Absent: it has no manifest, and the grant counts as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<bool>,
}

/// An access that the turn which an agent is in has made and that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessEntry {
    /// The turn's number when it first ran.
    pub turn: u64,
    /// Which access of the turn it is, from 0.
    pub number: u64,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub at: String,
    /// What was asked for, without query and body.
    pub access: String,
    /// The key by which the other side recognises a repetition.
    pub idempotency_key: String,
    /// The number that the guest was answered, 0 for success; absent: it has no outcome yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<i32>,
}
