//! What the journal holds: every change of the node's state, as data.
//!
//! How records are stored is the store's concern: it has forms of its own for them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AgentSpec, AgentStatus, Capabilities, Digest, ErrorCode, Fault, GrantedRules, Message,
    Performative, ProcessorSpec, RawJson, RowWrite, Timestamp,
};

/// Names one delivery of one message for ever: the shard that recorded the sending, the number of
/// the record among that shard's, and the delivery's number within the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageKey {
    /// The recording shard.
    pub shard: u16,
    /// Its record's number.
    pub seq: u64,
    /// The delivery within the record, counted over all messages and receivers.
    pub index: u32,
}
impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m-{}-{}-{}", self.shard, self.seq, self.index)
    }
}
impl FromStr for MessageKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let mut parts = text.strip_prefix("m-")?.split('-');
            let key = Self {
                shard: parts.next()?.parse().ok()?,
                seq: parts.next()?.parse().ok()?,
                index: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(key)
        };
        read().ok_or_else(|| format!("`{text}` is no message id; they look like `m-0-12-0`"))
    }
}

/// One record in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The shard that decided it.
    pub shard: u16,
    /// Its number among that shard's, from 1, rising. Numbers of records that are not journalled
    /// (turns of agents that keep nothing) are missing in the journal.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub record: Record,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The node started.
    NodeStarted {
        /// How many shards it has.
        shards: u16,
        /// The program's version.
        version: String,
    },
    /// An agent was deployed, after its first init was good.
    Deployed {
        /// What was deployed.
        spec: Arc<AgentSpec>,
    },
    /// An agent got another module or other settings.
    Updated {
        /// What it is from now on.
        spec: Arc<AgentSpec>,
        /// Whether this went back to the one before.
        rollback: bool,
    },
    /// An agent was removed with all it had; what was waiting went to the dead letters.
    Removed {
        /// Which one.
        agent: AgentId,
        /// Its last mail, each to the dead letters.
        sent: Vec<Sent>,
    },
    /// An agent's place in its life changed.
    StatusChanged {
        /// Which one.
        agent: AgentId,
        /// What it is now.
        status: AgentStatus,
        /// Why, in words.
        reason: String,
    },
    /// An instance was made.
    InstanceStarted {
        /// For which agent.
        agent: AgentId,
        /// Why.
        reason: StartReason,
    },
    /// A message from outside was accepted.
    Posted {
        /// The client's name.
        client: Arc<str>,
        /// The client's own id for it, which makes a retry harmless.
        message_id: Option<Arc<str>>,
        /// What it became.
        sent: Vec<Sent>,
    },
    /// A turn ended.
    Turn(Box<TurnRecord>),
    /// The host itself said something: a time-out, a refusal found later.
    HostSent {
        /// What.
        sent: Vec<Sent>,
    },
    /// Messages whose sender keeps no journal arrived at agents that do.
    Accepted {
        /// Receiver, key and message of each.
        deliveries: Vec<(AgentId, MessageKey, Message)>,
    },
    /// A delivery was refused at the mailbox: full, not understood, stopped.
    Refused {
        /// The receiver.
        agent: AgentId,
        /// Which delivery.
        key: MessageKey,
        /// The dead letter it became, and the answer to its sender.
        sent: Vec<Sent>,
    },
    /// Dead letters were taken out: sent again, or deleted.
    DeadLettersTaken {
        /// Which ones.
        keys: Vec<MessageKey>,
        /// What they became, if they were sent again.
        sent: Vec<Sent>,
    },
    /// Replies that a client has read or that grew too old.
    RepliesDropped {
        /// The client.
        client: Arc<str>,
        /// Which ones.
        keys: Vec<MessageKey>,
    },
    /// The host's own agents' changes, by a request to `df` or `ams`, or by a change that a
    /// subscriber is told.
    Directory {
        /// The request, by its delivery; number 0 where there was none.
        request: MessageKey,
        /// Descriptors it set, by agent; `None` takes one away.
        capabilities: Vec<(AgentId, Option<Arc<Capabilities>>)>,
        /// Subscriptions it made or changed.
        subscribed: Vec<DfSubscription>,
        /// Subscriptions it ended: subscriber and conversation.
        cancelled: Vec<(Arc<str>, Arc<str>)>,
        /// Its answers.
        sent: Vec<Sent>,
    },
    /// What an agent is granted has changed.
    GrantsChanged {
        /// Which agent.
        agent: AgentId,
        /// All that it is granted from now on.
        rules: GrantedRules,
    },
    /// A turn asks for something that cannot be taken back. It is performed once this is durable.
    Intent(Box<Intent>),
    /// What an intent came to.
    Outcome {
        /// Whose turn asked.
        agent: AgentId,
        /// The number of the access within the turn, from 0.
        number: u32,
        /// What the guest is given.
        #[serde(with = "crate::bytes")]
        outcome: Arc<[u8]>,
    },
    /// A processor was deployed, in place of the one of that name if there was one.
    ProcessorDeployed {
        /// What was deployed.
        spec: Arc<ProcessorSpec>,
    },
    /// A processor was removed.
    ProcessorRemoved {
        /// Its full name.
        name: Arc<str>,
    },
    /// An agent that keeps nothing wrote rows of shared tables, which stay: its turns have no record
    /// in the journal.
    RowsWritten {
        /// Which ones.
        rows: Vec<RowWrite>,
    },
}

/// An access that a turn asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Whose turn asks.
    pub agent: AgentId,
    /// The number of the turn.
    pub turn: u64,
    /// The input of the turn.
    pub input: InputRef,
    /// The seed of the turn's random numbers.
    pub seed: u64,
    /// The readings of the clock since the turn's last intent, in order.
    pub clock_reads: Vec<Timestamp>,
    /// The number of the access within the turn, from 0.
    pub number: u32,
    /// The digest of the whole request.
    pub digest: Digest,
    /// What people may see of it: never a secret, never a body.
    pub shown: Arc<str>,
}

/// A message and everywhere it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The message.
    pub message: Message,
    /// Its deliveries, in order.
    pub to: Vec<Destination>,
}

impl Sent {
    /// Whether it goes to anybody: what only becomes a dead letter is nobody's new request.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        let dead = |to: &Destination| matches!(to, Destination::Dead { .. });
        !self.to.iter().all(dead)
    }
}

/// One place a message goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// An agent's mailbox.
    Agent(AgentId),
    /// An outside client's mailbox.
    Client(Arc<str>),
    /// The dead letters.
    Dead {
        /// Who it was for.
        intended: Arc<str>,
        /// Why it can't be delivered.
        code: ErrorCode,
        /// In words.
        reason: String,
    },
}

/// Why an instance was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartReason {
    /// First of all.
    Deploy,
    /// The node was started.
    NodeStart,
    /// It had been passivated.
    Wake,
    /// The one before faulted.
    AfterFault,
    /// The operator asked.
    Operator,
    /// Another version.
    Update,
    /// Its group was restarted.
    Group,
}

/// What a turn was called with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputRef {
    /// `agent_init` in a new instance.
    Init(StartReason),
    /// A message, by its delivery.
    Message(MessageKey),
    /// A timer that fell due.
    Timer {
        /// Which one.
        id: i32,
        /// When it should have fired.
        due: Timestamp,
    },
    /// `migrate`, with the version before.
    Migrate(String),
    /// `agent_shutdown`.
    Shutdown,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnResult {
    /// The guest returned this; 0 is success, the rest an error of the guest's own.
    Returned(i32),
    /// It faulted: its effects are not in the record.
    Faulted(Fault),
    /// The guest ended itself, by its own exit with code 0: its effects count.
    Ended,
}

impl TurnResult {
    /// Whether the turn's effects count.
    #[must_use]
    pub const fn has_effects(&self) -> bool {
        !matches!(self, Self::Faulted(_))
    }
}

/// One whole turn: its input, all its effects, and what made it repeatable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// Whose.
    pub agent: AgentId,
    /// Its number among the agent's, from 1.
    pub turn: u64,
    /// What it was called with.
    pub input: InputRef,
    /// Whether the input is used up (not so where another attempt follows).
    pub consumed: bool,
    /// How it ended.
    pub result: TurnResult,
    /// State written.
    pub writes: Vec<StateWrite>,
    /// Bytes of all keys and values after it.
    pub state_bytes: u64,
    /// Number of keys after it.
    pub state_keys: u64,
    /// Rows of shared tables written.
    pub rows: Vec<RowWrite>,
    /// Messages sent, the host's synthesised answers too.
    pub sent: Vec<Sent>,
    /// Timers set.
    pub timers_set: Vec<TimerSet>,
    /// Timers cancelled.
    pub timers_cancelled: Vec<i32>,
    /// The descriptor registered, if one was.
    pub capabilities: Option<Arc<Capabilities>>,
    /// Subscriptions made.
    pub subscribed: Vec<Subscription>,
    /// Subscriptions ended.
    pub unsubscribed: Vec<i32>,
    /// Seed of the turn's random numbers.
    pub seed: u64,
    /// What the guest read from the clock, in order (at most 1,000 are kept).
    pub clock_reads: Vec<Timestamp>,
    /// Time really run. Unit: microseconds.
    pub cpu_micros: u64,
}

/// One write to an agent's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateWrite {
    /// The key. Bounds: at most 1 KiB.
    #[serde(with = "crate::bytes")]
    pub key: Arc<[u8]>,
    /// The value; `None` deletes.
    #[serde(with = "crate::bytes::option")]
    pub value: Option<Arc<[u8]>>,
}

/// A timer that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerSet {
    /// Its id, unique for the agent.
    pub id: i32,
    /// When it falls due.
    pub due: Timestamp,
}

/// A subscription to broadcasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id, unique for the agent.
    pub id: i32,
    /// Which broadcasts it selects.
    pub filter: Filter,
    /// Whether an init made it: the next init's replace it.
    pub by_init: bool,
}

/// Selects agents (in a broadcast) or broadcasts (in a subscription). All that is given must match.
///
/// In a subscription `capabilities` and `name` are the sender's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Capabilities, all of them.
    pub capabilities: Vec<String>,
    /// The message's performative.
    pub performative: Option<Performative>,
    /// The message's protocol, and one the agent knows.
    pub protocol: Option<String>,
    /// The message's ontology, and one the agent knows.
    pub ontology: Option<String>,
    /// The agent's name, as a glob.
    pub name: Option<String>,
}

/// A client's or agent's standing wish to hear of changes in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DfSubscription {
    /// Who is told.
    pub subscriber: Arc<str>,
    /// In which conversation; `cancel` in it ends the subscription.
    pub conversation: Arc<str>,
    /// What answers carry as `in_reply_to`.
    pub reply_with: Option<Arc<str>>,
    /// Which changes can matter: those of a service of this name; empty: all.
    pub service: String,
    /// The search whose result is watched: a template, as JSON.
    pub template: RawJson,
    /// Digest of the result that was told last.
    pub told: u64,
}

impl Record {
    /// All that was sent in it, in the order that [`MessageKey::index`] counts.
    #[must_use]
    pub fn sent(&self) -> &[Sent] {
        match self {
            Self::Removed { sent, .. }
            | Self::Posted { sent, .. }
            | Self::HostSent { sent }
            | Self::Refused { sent, .. }
            | Self::DeadLettersTaken { sent, .. }
            | Self::Directory { sent, .. } => sent,
            Self::Turn(turn) => &turn.sent,
            Self::NodeStarted { .. }
            | Self::Deployed { .. }
            | Self::Updated { .. }
            | Self::StatusChanged { .. }
            | Self::InstanceStarted { .. }
            | Self::Accepted { .. }
            | Self::RepliesDropped { .. }
            | Self::GrantsChanged { .. }
            | Self::Intent(_)
            | Self::Outcome { .. }
            | Self::ProcessorDeployed { .. }
            | Self::ProcessorRemoved { .. }
            | Self::RowsWritten { .. } => &[],
        }
    }
    /// The record's kind, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NodeStarted { .. } => "node-started",
            Self::Deployed { .. } => "deployed",
            Self::Updated { .. } => "updated",
            Self::Removed { .. } => "removed",
            Self::StatusChanged { .. } => "status-changed",
            Self::InstanceStarted { .. } => "instance-started",
            Self::Posted { .. } => "posted",
            Self::Turn(_) => "turn",
            Self::HostSent { .. } => "host-sent",
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::DeadLettersTaken { .. } => "dead-letters-taken",
            Self::RepliesDropped { .. } => "replies-dropped",
            Self::Directory { .. } => "directory",
            Self::GrantsChanged { .. } => "grants-changed",
            Self::Intent(_) => "intent",
            Self::Outcome { .. } => "outcome",
            Self::ProcessorDeployed { .. } => "processor-deployed",
            Self::ProcessorRemoved { .. } => "processor-removed",
            Self::RowsWritten { .. } => "rows-written",
        }
    }
}
