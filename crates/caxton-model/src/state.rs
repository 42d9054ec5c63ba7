//! What a node knows. `apply.rs` says how a record changes it.
//!
//! Values that agents store are not in here (the store keeps them); their sizes are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AgentSpec, AgentStatus, Asked, ById, Capabilities, Destination, DfSubscription,
    ErrorCode, Fault, GrantedRules, Ledger, Message, MessageKey, Micros, ProcessorSpec,
    RequestName, SpentIds, Subscription, Tables, Timestamp, TurnAccesses,
};

/// Replies that wait for one outside client.
pub const CLIENT_REPLIES_MAX: usize = 1_000;

/// Dead letters of one shard; beyond it owners share the room evenly, and whoever adds one loses the
/// oldest of its own.
pub const DEAD_LETTERS_MAX: usize = 100_000;

/// Ids of messages from outside that are remembered, so that a retry is told from a new one.
pub const POST_IDS_MAX: usize = 1_000_000;

/// Bytes of replies that wait for one outside client; beyond it the oldest goes.
///
/// As much as an agent's mailbox holds by default.
pub const CLIENT_REPLY_BYTES_MAX: u64 = 16 << 20;

/// Requests of one agent that wait for an answer by a certain time; more are refused.
pub const OPEN_REQUESTS_OF_AGENT: u32 = 1_000;

/// The same of one outside client, which may speak for many.
pub const OPEN_REQUESTS_OF_CLIENT: u32 = 10_000;

/// The longest time for which the node watches a request: a later `reply_by` times out then.
/// Unit: 7 days.
pub const REPLY_BY_MAX: Micros = Micros::secs(7 * 24 * 3600);

/// After this time without a word a conversation is forgotten. Unit: 30 minutes.
pub const CONVERSATION_IDLE: Micros = Micros::secs(30 * 60);

/// A message on its way to one agent or client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which delivery it is.
    pub key: MessageKey,
    /// Where it goes: never the dead letters.
    pub to: Destination,
    /// The message.
    pub message: Message,
    /// When it was sent.
    pub at: Timestamp,
    /// Whether a record of its sending is in the journal.
    pub journalled: bool,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which delivery it is.
    pub key: MessageKey,
    /// The message.
    pub message: Message,
    /// When it was sent.
    pub at: Timestamp,
    /// How often it was tried and faulted.
    pub attempts: u32,
}

/// A timer that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// When it falls due.
    pub due: Timestamp,
    /// Whether an init set it: the next init's replace it.
    pub by_init: bool,
}

/// All of one agent but the values it stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// As deployed.
    pub spec: Arc<AgentSpec>,
    /// What an update replaced; rollback goes there.
    pub previous: Option<Arc<AgentSpec>>,
    /// Where it is in its life.
    pub status: AgentStatus,
    /// Why it is there, in words.
    pub status_reason: String,
    /// Turns that ended.
    pub turns: u64,
    /// Turns that returned non-zero.
    pub errors: u64,
    /// Turns that faulted.
    pub faults: u64,
    /// The last fault.
    pub last_fault: Option<(Timestamp, Fault)>,
    /// Time really run in all turns. Unit: microseconds.
    pub cpu_micros: u64,
    /// Messages sent in all turns.
    pub messages_sent: u64,
    /// The mailbox, oldest first.
    pub mailbox: VecDeque<Pending>,
    /// Bytes in the mailbox.
    pub mailbox_bytes: u64,
    /// Timers that run, by id.
    pub timers: BTreeMap<i32, Timer>,
    /// The next timer's id.
    pub next_timer: i32,
    /// Subscriptions to broadcasts.
    pub subscriptions: Vec<Subscription>,
    /// The next subscription's id.
    pub next_subscription: i32,
    /// What it registered; `None`: only declared.
    pub capabilities: Option<Arc<Capabilities>>,
    /// Bytes of all keys and values.
    pub state_bytes: u64,
    /// Number of keys.
    pub state_keys: u64,
}

/// An outside client's mailbox. Written as its replies alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<Pending>", into = "VecDeque<Pending>")]
pub struct ClientState {
    replies: VecDeque<Pending>,
    /// The sum over them, kept so that no reply has to add up all before it.
    bytes: u64,
}

/// A message that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its name.
    pub key: MessageKey,
    /// Who it was for.
    pub intended: Arc<str>,
    /// Why.
    pub code: ErrorCode,
    /// In words.
    pub reason: String,
    /// The message.
    pub message: Message,
    /// When.
    pub at: Timestamp,
}

/// A client's message id that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostSeen {
    /// When.
    pub at: Timestamp,
    /// What it became: the first delivery.
    pub key: MessageKey,
    /// The message with a digest in place of its content: [`Message::for_retry`].
    pub message: Message,
    /// Whether the acceptance survives a power loss.
    pub durable: bool,
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationLine {
    /// The first delivery.
    pub key: MessageKey,
    /// When it was sent.
    pub at: Timestamp,
    /// The message; `None` where its content was dropped.
    pub message: Option<Message>,
    /// What it did.
    pub performative: crate::Performative,
    /// Who sent it.
    pub sender: Arc<str>,
    /// Who it went to.
    pub to: Vec<Destination>,
    /// Its size. Unit: bytes.
    pub bytes: u64,
}

/// What was said under one conversation id, as far as this shard's senders said it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conversation {
    /// The lines, oldest first.
    pub lines: VecDeque<ConversationLine>,
    /// Lines there were, dropped ones too.
    pub count: u64,
    /// What its lines cost. Unit: bytes.
    pub bytes: u64,
    /// When something was last said.
    pub last: Timestamp,
}

/// A request whose asker wants an answer by a certain time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// Who waits.
    pub asker: Destination,
    /// The request.
    pub message: Message,
    /// Until when the node watches it.
    pub reply_by: Timestamp,
}

/// A part of the state that is written to a checkpoint under one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// An agent.
    Agent(AgentId),
    /// A client's mailbox.
    Client(Arc<str>),
    /// A dead letter.
    Dead(MessageKey),
    /// A client's message id: client and id.
    Post(Arc<str>, Arc<str>),
    /// A conversation.
    Conversation(Arc<str>),
    /// An open request: asker's text and `reply_with`.
    Open(Arc<str>, Arc<str>),
    /// All of the directory's subscriptions, as older programs wrote them.
    DfSubscriptions,
    /// One of the directory's subscriptions: subscriber and conversation.
    DfSubscription(Arc<str>, Arc<str>),
    /// Mail that stands in nobody's mailbox.
    Held,
    /// The version an agent's state is still of.
    Migrating(AgentId),
    /// The recorded accesses of an agent's unfinished turn.
    Accesses(AgentId),
    /// What an agent is granted.
    Granted(AgentId),
    /// Hashes of spent message ids: the block of this number.
    SpentIds(u64),
    /// Up to which time ids that carry one are spent.
    SpentUntil,
    /// A processor, by its full name.
    Processor(Arc<str>),
    /// A row of a shared table: the table's full name and the key.
    Row(Arc<str>, Arc<str>),
}

/// What is known: of the whole node, or of one shard's part of it.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Agents by id.
    pub agents: ById<AgentState>,
    /// Outside clients by name.
    pub clients: BTreeMap<Arc<str>, ClientState>,
    /// Dead letters by key.
    pub dead: BTreeMap<MessageKey, DeadLetter>,
    /// The same in the order they came; keys already taken out may still stand here.
    pub dead_order: VecDeque<MessageKey>,
    /// Message ids of clients: (client, id).
    pub posts: HashMap<(Arc<str>, Arc<str>), PostSeen>,
    /// The same in the order they came.
    pub posts_order: VecDeque<(Arc<str>, Arc<str>)>,
    /// What is left of those that were forgotten.
    pub spent: SpentIds,
    /// Conversations by id.
    pub conversations: HashMap<Arc<str>, Conversation>,
    /// Requests with a `reply_by`: (asker, `reply_with`).
    pub open: BTreeMap<RequestName, OpenRequest>,
    /// Who may answer each of them; where an entry is missing, anybody. It follows from the rest:
    /// [`Self::recount`].
    pub asked: BTreeMap<RequestName, Asked>,
    /// The directory's subscriptions.
    pub df_subscriptions: Vec<DfSubscription>,
    /// Mail that stands in nobody's mailbox: for the host's own agents, or for agents that are
    /// gone. Each waits for the record that answers it.
    pub held: VecDeque<(AgentId, Pending)>,
    /// Agents whose `migrate` is still to run, with the version that their state is of.
    pub migrating: BTreeMap<AgentId, Arc<AgentSpec>>,
    /// Recorded accesses of turns that have not ended.
    pub accesses: BTreeMap<AgentId, TurnAccesses>,
    /// What each agent is granted, where that is anything.
    pub granted: BTreeMap<AgentId, GrantedRules>,
    /// Processors by their full names.
    pub processors: BTreeMap<Arc<str>, Arc<ProcessorSpec>>,
    /// Shared tables: in the whole node's state alone, no shard's.
    pub tables: Tables,
    /// What is kept for whom. It follows from the rest: [`Self::recount`].
    pub ledger: Ledger,
    /// The last record's number, by shard.
    pub seqs: BTreeMap<u16, u64>,
    /// Parts changed since they were last taken; `None`: not tracked.
    pub touched: Option<BTreeSet<Part>>,
}

/// A destination as the text under which open requests are kept.
#[must_use]
pub fn destination_text(to: &Destination) -> Arc<str> {
    match to {
        Destination::Agent(id) => id.to_string().into(),
        Destination::Client(name) => Arc::clone(name),
        Destination::Dead { intended, .. } => Arc::clone(intended),
    }
}

impl From<VecDeque<Pending>> for ClientState {
    fn from(replies: VecDeque<Pending>) -> Self {
        let bytes = replies.iter().map(|mail| mail.message.bytes()).sum();
        Self { replies, bytes }
    }
}

impl From<ClientState> for VecDeque<Pending> {
    fn from(state: ClientState) -> Self {
        state.replies
    }
}

impl ClientState {
    /// Replies, oldest first.
    #[must_use]
    pub const fn replies(&self) -> &VecDeque<Pending> {
        &self.replies
    }
    /// What they take. Unit: bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
    /// Adds a reply; the oldest go where there are far too many.
    ///
    /// The kernel keeps the mailbox within its bounds. A journal may hold more for a moment, since
    /// what made room stands behind what needed it.
    pub(crate) fn put(&mut self, mail: Pending) {
        self.bytes += mail.message.bytes();
        self.replies.push_back(mail);
        while self.replies.len() > 2 * CLIENT_REPLIES_MAX
            || (self.bytes > 2 * CLIENT_REPLY_BYTES_MAX && self.replies.len() > 1)
        {
            if let Some(oldest) = self.replies.pop_front() {
                self.bytes -= oldest.message.bytes();
            }
        }
    }
    /// Takes replies out.
    pub(crate) fn take(&mut self, keys: &[MessageKey]) {
        let keys: BTreeSet<MessageKey> = keys.iter().copied().collect();
        self.replies.retain(|mail| {
            let goes = keys.contains(&mail.key);
            if goes {
                self.bytes -= mail.message.bytes();
            }
            !goes
        });
    }
}

impl State {
    /// Takes note of the number of a shard's record.
    pub(crate) fn note_seq(&mut self, shard: u16, seq: u64) {
        let last = self.seqs.entry(shard).or_default();
        *last = (*last).max(seq);
    }
}

impl AgentState {
    /// An agent just deployed.
    #[must_use]
    pub fn new(spec: Arc<AgentSpec>) -> Self {
        Self {
            spec,
            previous: None,
            status: AgentStatus::Running,
            status_reason: String::new(),
            turns: 0,
            errors: 0,
            faults: 0,
            last_fault: None,
            cpu_micros: 0,
            messages_sent: 0,
            mailbox: VecDeque::new(),
            mailbox_bytes: 0,
            timers: BTreeMap::new(),
            next_timer: 1,
            subscriptions: Vec::new(),
            next_subscription: 1,
            capabilities: None,
            state_bytes: 0,
            state_keys: 0,
        }
    }

    /// Takes one message out of the mailbox.
    pub fn take_mail(&mut self, key: MessageKey) {
        let at = self.mailbox.iter().position(|mail| mail.key == key);
        if let Some(mail) = at.and_then(|at| self.mailbox.remove(at)) {
            self.mailbox_bytes = self.mailbox_bytes.saturating_sub(mail.message.bytes());
        }
    }
}
