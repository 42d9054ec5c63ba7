//! Agents as the API shows them.

use caxton_model::{AgentStatus, Capabilities, Durability, EngineProfile, Frame, Supervision};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::GrantEntry;

/// An agent in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentSummary {
    /// Its id; given once, never again.
    #[schema(example = "a-00000000000003e8")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// The namespace it stands in.
    pub namespace: String,
    /// The package's version.
    pub version: String,
    /// The module it runs, by digest.
    pub module: String,
    /// Where it is in its life.
    #[schema(schema_with = crate::schema::status)]
    pub status: AgentStatus,
    /// Whether its state survives.
    #[schema(schema_with = crate::schema::durability)]
    pub durability: Durability,
    /// The engine it runs on.
    #[schema(schema_with = crate::schema::profile)]
    pub profile: EngineProfile,
    /// Capabilities it has registered.
    pub capabilities: Vec<String>,
    /// Capabilities named at deploy, while it has registered none.
    pub declared: Vec<String>,
    /// What waits for it.
    pub mailbox: MailboxUse,
    /// When it was deployed.
    #[schema(format = DateTime)]
    pub deployed_at: String,
}

/// What waits in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct MailboxUse {
    /// Messages.
    pub messages: u32,
    /// Their size. Unit: bytes.
    pub bytes: u64,
}

/// An agent that was deployed or updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    /// The agent.
    #[serde(flatten)]
    pub agent: AgentSummary,
    /// What the operator should know: requirements above limits, rights without an import.
    pub warnings: Vec<String>,
    /// What its manifest asks for, and what it is not granted as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_granted: Vec<NotGranted>,
    /// After an update: what the new version asks for otherwise than the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_changes: Vec<PermissionChange>,
}

/// A rule that an agent's manifest asks for, and that it is not granted as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotGranted {
    /// The permission and what it is asked for.
    #[schema(example = "http:read=api.example.com/repos/**")]
    pub rule: String,
    /// Why, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The command that grants it; absent where no grant would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "caxton grant fetcher 'http:read=api.example.com/repos/**'")]
    pub command: Option<String>,
    /// The line of the site's policy that forbids it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "policy.toml:7")]
    pub forbidden_by: Option<String>,
}

/// One change between what two versions of an agent ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PermissionChange {
    /// `new`, `widened`, `narrowed`, `dropped` or `reason`.
    #[schema(example = "widened")]
    pub kind: String,
    /// The change in words, with the author's reason.
    #[schema(example = "widened: http:read=api.example.com/** (list issues)")]
    pub text: String,
}

/// A rule that an agent's manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestedEntry {
    /// The permission and what it is asked for.
    #[schema(example = "http:read=api.example.com/repos/**")]
    pub rule: String,
    /// Why, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Everything about one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub agent: AgentSummary,
    /// Why it is where it is in its life.
    pub status_reason: String,
    /// The version that a rollback goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// Each limit and how much of it is used.
    pub limits: Vec<LimitUse>,
    /// Receivers it was granted; absent: its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_send: Option<Vec<String>>,
    /// What its manifest asks for, which bounds what it is granted; absent: it has no manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Vec<RequestedEntry>>,
    /// The rules that it is granted.
    #[serde(default)]
    pub grants: Vec<GrantEntry>,
    /// How it is kept alive.
    #[schema(schema_with = crate::schema::supervision)]
    pub supervision: Supervision,
    /// Names of its own configuration; values may be secret.
    pub config_keys: Vec<String>,
    /// What it has registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub descriptor: Option<Capabilities>,
    /// What it did so far.
    pub counters: AgentCounters,
    /// Memory of its live instance; absent if it has none. Unit: bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Its last fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<AgentFault>,
}

/// What an agent did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AgentCounters {
    /// Turns that ended.
    pub turns: u64,
    /// Turns that returned non-zero.
    pub errors: u64,
    /// Turns that faulted.
    pub faults: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Time really run. Unit: microseconds.
    pub cpu_micros: u64,
    /// Keys and values stored. Unit: bytes.
    pub state_bytes: u64,
    /// Keys stored.
    pub state_keys: u64,
    /// Timers that run.
    pub timers: u64,
    /// Subscriptions to broadcasts.
    pub subscriptions: u64,
}

/// How much of a limit is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitUse {
    /// Which limit.
    pub name: String,
    /// Its value in its base unit; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Used now, or in the last turn.
    pub used: u64,
    /// The most so far in this process.
    pub peak: u64,
    /// When it was last reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_breach: Option<String>,
}

/// A turn that faulted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentFault {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Which turn; absent where only the last fault is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// The stable code.
    pub code: String,
    /// In words.
    pub text: String,
    /// Where the guest was, innermost first.
    #[schema(schema_with = crate::schema::backtrace)]
    pub backtrace: Vec<Frame>,
}

/// A log line of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// What `after` and `Last-Event-ID` take: the node's start and the line's number.
    #[schema(example = "5f0c2a91-17")]
    pub id: String,
    /// Its number among all lines since the node's start.
    pub number: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// The agent's id.
    pub agent: String,
    /// The agent's name.
    pub name: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The text.
    pub text: String,
}

/// A key of an agent's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateKeyEntry {
    /// The key percent-encoded, as it goes into the path `/agents/{id}/state/{key}`.
    pub path: String,
    /// The key as text; absent where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value's size. Unit: bytes.
    pub value_bytes: u64,
}
