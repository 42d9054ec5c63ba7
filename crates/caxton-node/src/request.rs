//! What requests to a node are made of, and what they answer.

use std::{sync::Arc, time::Duration};

use caxton_gate::Diff;
use caxton_kernel::{Listing, OwnerUse, Refusal};
use caxton_model::{
    AgentId, AgentName, AgentState, AskedLimits, Durability, EngineProfile, GrantedRules, Grants,
    Message, MessageKey, Micros, Pending, RequestedRule, Supervision, Timestamp,
};

/// What is to be deployed.
#[derive(Debug, Clone)]
pub struct Deploy {
    /// Its name, free on this node.
    pub name: AgentName,
    /// The module's bytes.
    pub module: Vec<u8>,
    /// The package's version.
    pub version: String,
    /// Limits that differ from the defaults.
    pub limits: AskedLimits,
    /// Whether its state survives.
    pub durability: Durability,
    /// How it is kept alive.
    pub supervision: Supervision,
    /// Whom it may write to.
    pub grants: Grants,
    /// The rules that it is granted, as `caxton-gate` reads them. An update leaves what it is granted.
    pub granted: GrantedRules,
    /// What its manifest asks for; `None`: it has none. It bounds everything granted.
    pub requested: Option<Vec<RequestedRule>>,
    /// Capabilities it is said to have, until it registers its own.
    pub declared: Vec<String>,
    /// Its configuration.
    pub config: Vec<(String, String)>,
    /// The engine profile. Default: hardened.
    pub profile: EngineProfile,
    /// Idle time after which its instance may go.
    pub passivate_after: Option<Micros>,
}

/// What was deployed.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// Its entry in the directory.
    pub listing: Listing,
    /// What the operator should know: requirements above limits, rights without an import.
    pub warnings: Vec<String>,
    /// What its manifest asks for, and what it is not granted as a whole.
    pub not_granted: Vec<NotGranted>,
    /// How the requested permissions differ from those of the version before; empty for a new agent.
    pub changes: Diff,
}

/// A rule that an agent asks for, and that it is not granted as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGranted {
    /// The rule.
    pub rule: String,
    /// Why it is asked for, in the author's words.
    pub reason: Option<String>,
    /// The command that grants it; `None`: no grant would help.
    pub command: Option<String>,
    /// The line of the site's policy that forbids it.
    pub forbidden_by: Option<String>,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Its name.
    pub key: MessageKey,
    /// As sealed.
    pub message: Message,
    /// How many mailboxes it went to.
    pub deliveries: u32,
    /// Whether the acceptance survives a power loss.
    pub durable: bool,
    /// Whether it was a retry of one accepted earlier.
    pub duplicate: bool,
    /// The reply, if one was waited for and came.
    pub reply: Option<Pending>,
}

/// Everything about one agent.
#[derive(Debug, Clone)]
pub struct AgentDetail {
    /// Its entry in the directory.
    pub listing: Listing,
    /// Its state, without mailbox contents.
    pub state: AgentState,
    /// All that it is granted.
    pub granted: GrantedRules,
    /// Memory of its live instance, if it has one. Unit: bytes.
    pub memory_bytes: Option<u64>,
    /// Each limit: name, limit, used now, peak, and when it was last reached.
    pub usage: Vec<LimitUsage>,
}

/// How much of a limit is used.
#[derive(Debug, Clone)]
pub struct LimitUsage {
    /// Which limit.
    pub name: caxton_model::LimitName,
    /// Its value; `u64::MAX`: unlimited.
    pub limit: u64,
    /// Used now, or in the last turn.
    pub used: u64,
    /// The most so far in this process.
    pub peak: u64,
    /// When it was last reached.
    pub last_breach: Option<Timestamp>,
}

/// One log line of a guest.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Its number among all lines of this process, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub agent: AgentId,
    /// Its name.
    pub name: Arc<str>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// The text. Bounds: at most 8 KiB.
    pub text: String,
}

/// A key of an agent's state.
#[derive(Debug, Clone)]
pub struct StateKey {
    /// The key.
    pub key: Vec<u8>,
    /// Its value's size. Unit: bytes.
    pub value_bytes: u64,
}

/// An event with its number, from which a watcher can go on.
#[derive(Debug, Clone)]
pub struct NumberedEvent {
    /// Its number in this process, from 1.
    pub number: u64,
    /// The event.
    pub event: caxton_kernel::NodeEvent,
}

/// How the node is.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether it takes requests.
    pub ready: bool,
    /// Why not, if not.
    pub reason: Option<Refusal>,
    /// Agents deployed.
    pub agents: usize,
    /// Live instances.
    pub instances: usize,
    /// Whether there is a journal.
    pub durable: bool,
    /// What the check of the journal's older part found, if it is not as it was written.
    pub damage: Option<String>,
    /// Memory used, and the budget; `u64::MAX`: none. Unit: bytes.
    pub memory: (u64, u64),
    /// Disk used by journal, state and modules, and the budget. Unit: bytes.
    pub disk: (u64, u64),
    /// The store's gauges and counters.
    pub store: caxton_store::StoreMetrics,
    /// Time since the start.
    pub uptime: Duration,
}

/// What the host keeps for one agent or outside client beside its mailbox and state.
#[derive(Debug, Clone)]
pub struct KeptFor {
    /// Its name.
    pub owner: Arc<str>,
    /// How much it is and was.
    pub used: OwnerUse,
    /// Its limit `host_bytes`. Unit: bytes.
    pub limit: u64,
}
