//! What embedders and the server hold: every request a node takes.

use std::{sync::Arc, time::Duration};

use caxton_kernel::{Listing, Post, Refusal};
use caxton_model::{
    AgentId, AgentName, AgentState, AskedLimits, ConversationLine, DeadLetter, Durability,
    EngineProfile, Grants, Message, MessageKey, Micros, Pending, Supervision, Timestamp,
};

use crate::options::{NodeOptions, StartError};

/// A running node. Clones are the same node.
#[derive(Clone)]
pub struct Node {
    #[allow(dead_code, reason = "interface first")]
    inner: Arc<()>,
}

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
    /// What it may do.
    pub grants: Grants,
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
    pub reason: Option<String>,
    /// Agents deployed.
    pub agents: usize,
    /// Live instances.
    pub instances: usize,
    /// Whether there is a journal.
    pub durable: bool,
    /// Records in the journal that are not yet durable.
    pub journal_lag: u64,
    /// The journal's durable place.
    pub journal_place: u64,
    /// Seconds since the start.
    pub uptime: Duration,
}

#[allow(clippy::unused_async, reason = "interface first")]
impl Node {
    /// Starts a node and recovers what its data directory holds.
    ///
    /// Must be called within a tokio runtime, which stays the node's I/O side.
    /// Errors: [`StartError`].
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        let _ = options;
        Ok(Self { inner: Arc::new(()) })
    }
}
// The rest of the interface, as it will be:
//   async fn deploy(&self, Deploy) -> Result<Deployed, Refusal>
//   async fn update(&self, agent: &str, Deploy) -> Result<Deployed, Refusal>       (name in Deploy ignored)
//   async fn rollback(&self, agent: &str) -> Result<Listing, Refusal>
//   async fn stop(&self, agent: &str, drain: bool, grace: Micros) -> Result<Listing, Refusal>
//   async fn start_agent(&self, agent: &str) -> Result<Listing, Refusal>
//   async fn remove(&self, agent: &str) -> Result<(), Refusal>
//   async fn post(&self, Post, wait: Option<Duration>) -> Result<Posted, Refusal>
//   fn agents(&self) -> Vec<Listing>
//   fn find(&self, agent: &str) -> Result<Listing, Refusal>                          (id or name)
//   async fn agent(&self, agent: &str) -> Result<AgentDetail, Refusal>
//   async fn mailbox(&self, agent: &str) -> Result<Vec<Pending>, Refusal>            (messages waiting)
//   async fn replies(&self, client: &str) -> Vec<Pending>
//   async fn drop_replies(&self, client: &str, Vec<MessageKey>)
//   async fn wait_reply(&self, client: &str, in_reply_to/conversation, Duration) -> Option<Pending>
//   async fn conversation(&self, id: &str) -> Vec<ConversationLine>                  (merged from all shards, by time)
//   async fn dead_letters(&self, limit: usize) -> Vec<DeadLetter>
//   async fn take_dead_letters(&self, Vec<MessageKey>, resend: bool) -> Result<u32, Refusal>
//   async fn state_keys(&self, agent: &str, after: Option<Vec<u8>>, limit: usize) -> Result<Vec<StateKey>, Refusal>
//   async fn state_value(&self, agent: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal>
//   fn logs(&self, agent: Option<AgentId>, after: u64, limit: usize) -> Vec<LogLine>
//   fn watch_logs(&self) -> tokio::sync::broadcast::Receiver<LogLine>
//   fn events_after(&self, number: u64) -> Vec<NumberedEvent>                        (ring of the last 10,000)
//   fn watch_events(&self) -> tokio::sync::broadcast::Receiver<NumberedEvent>
//   fn capabilities(&self) -> Vec<(Arc<str>, usize)>;  fn offering(&self, &str) -> Vec<Listing>
//   fn health(&self) -> Health
//   fn shares_module(...)  fn cache()  -> engine cache list/clear/warm/stats
//   async fn shutdown(&self, grace: Duration)
type _Uses = (Post, Refusal, ConversationLine, DeadLetter);
