//! What a node knows, and how a record changes it.
//!
//! One `apply` serves the running kernel, the recovery after a crash and the checkpoint, so that
//! what is recovered is what was, by construction. Values that agents store are not in here (the
//! store keeps them); their sizes are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AgentSpec, AgentStatus, Capabilities, Destination, DfSubscription, Durability, Entry,
    ErrorCode, Fault, InputRef, Message, MessageKey, Record, Subscription, Timestamp, TurnRecord,
    TurnResult,
};

/// Replies that wait for one outside client.
pub const CLIENT_REPLIES_MAX: usize = 1_000;

/// Dead letters kept; beyond it the oldest goes.
///
/// Each may be 1 MiB; with the usual few hundred bytes this is some tens of MiB.
pub const DEAD_LETTERS_MAX: usize = 100_000;

/// Ids of messages from outside that are remembered, so that a retry is told from a new one.
pub const POST_IDS_MAX: usize = 1_000_000;

/// Lines of one conversation that are kept; beyond it the oldest goes.
pub(crate) const CONVERSATION_LINES_MAX: usize = 1_000;

/// Bytes of content one conversation keeps; older lines lose their content, not themselves.
pub(crate) const CONVERSATION_BYTES_MAX: u64 = 1 << 20;

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

/// An outside client's mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientState {
    /// Replies, oldest first.
    pub replies: VecDeque<Pending>,
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
    /// What it became: the first delivery and the message as sealed.
    pub key: MessageKey,
    /// The message.
    pub message: Message,
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationLine {
    /// The first delivery.
    pub key: MessageKey,
    /// When it was sent.
    pub at: Timestamp,
    /// The receivers' names or ids, as written.
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
    /// Bytes of content kept.
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
    /// Until when.
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
    /// The directory's subscriptions.
    DfSubscriptions,
}

/// What is known: of the whole node, or of one shard's part of it.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Agents by id.
    pub agents: HashMap<AgentId, AgentState>,
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
    /// Conversations by id.
    pub conversations: HashMap<Arc<str>, Conversation>,
    /// Requests with a `reply_by`: (asker, `reply_with`).
    pub open: BTreeMap<(Arc<str>, Arc<str>), OpenRequest>,
    /// The directory's subscriptions.
    pub df_subscriptions: Vec<DfSubscription>,
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

impl State {
    /// An empty state that notes what changes.
    #[must_use]
    pub fn tracked() -> Self {
        Self {
            touched: Some(BTreeSet::new()),
            ..Self::default()
        }
    }

    fn touch(&mut self, part: Part) {
        if let Some(touched) = &mut self.touched {
            touched.insert(part);
        }
    }

    /// Applies a record to the whole node's state: its own changes, then its deliveries.
    pub fn replay(&mut self, entry: &Entry) {
        for delivery in self.apply(entry, true) {
            self.deliver(delivery);
        }
    }

    /// Applies a record to what its shard owns and answers what it delivers, in order.
    ///
    /// `journalled`: whether the record is in the journal; noted in the deliveries.
    pub fn apply(&mut self, entry: &Entry, journalled: bool) -> Vec<Delivery> {
        let last = self.seqs.entry(entry.shard).or_default();
        *last = (*last).max(entry.seq);
        let mut deliveries = Vec::new();
        match &entry.record {
            Record::NodeStarted { .. } | Record::InstanceStarted { .. } => {}
            Record::Deployed { spec } => {
                self.touch(Part::Agent(spec.id));
                self.agents
                    .insert(spec.id, AgentState::new(Arc::clone(spec)));
            }
            Record::Updated { spec, rollback } => {
                self.touch(Part::Agent(spec.id));
                if let Some(agent) = self.agents.get_mut(&spec.id) {
                    let before = std::mem::replace(&mut agent.spec, Arc::clone(spec));
                    agent.previous = (!rollback).then_some(before);
                }
            }
            Record::Removed { agent, .. } => {
                self.touch(Part::Agent(*agent));
                self.agents.remove(agent);
            }
            Record::StatusChanged {
                agent,
                status,
                reason,
            } => {
                self.touch(Part::Agent(*agent));
                if let Some(agent) = self.agents.get_mut(agent) {
                    agent.status = *status;
                    agent.status_reason.clone_from(reason);
                }
            }
            Record::Posted {
                client,
                message_id,
                sent,
            } => {
                self.touch(Part::Client(Arc::clone(client)));
                self.clients.entry(Arc::clone(client)).or_default();
                if let (Some(id), Some(first)) = (message_id, sent.first()) {
                    let key = MessageKey {
                        shard: entry.shard,
                        seq: entry.seq,
                        index: 0,
                    };
                    self.remember_post(client, id, entry.at, key, &first.message);
                }
            }
            Record::Turn(turn) => self.apply_turn(entry.at, turn),
            Record::Accepted {
                deliveries: accepted,
            } => {
                for (agent, key, message) in accepted {
                    deliveries.push(Delivery {
                        key: *key,
                        to: Destination::Agent(*agent),
                        message: message.clone(),
                        at: entry.at,
                        journalled,
                    });
                }
            }
            Record::Refused { agent, key, .. } => self.take_mail(*agent, *key),
            Record::DeadLettersTaken { keys, .. } => {
                for key in keys {
                    self.touch(Part::Dead(*key));
                    self.dead.remove(key);
                }
            }
            Record::RepliesDropped { client, keys } => {
                self.touch(Part::Client(Arc::clone(client)));
                if let Some(state) = self.clients.get_mut(client) {
                    state.replies.retain(|reply| !keys.contains(&reply.key));
                    if state.replies.is_empty() {
                        self.clients.remove(client);
                    }
                }
            }
            Record::Directory {
                capabilities,
                subscribed,
                cancelled,
                ..
            } => {
                for (agent, descriptor) in capabilities {
                    self.set_capabilities(*agent, descriptor.clone());
                }
                if !(subscribed.is_empty() && cancelled.is_empty()) {
                    self.touch(Part::DfSubscriptions);
                    self.df_subscriptions.retain(|s| {
                        !cancelled.iter().any(|(who, conversation)| {
                            *who == s.subscriber && *conversation == s.conversation
                        })
                    });
                    self.df_subscriptions.extend(subscribed.iter().cloned());
                }
            }
            Record::HostSent { .. } => {}
        }
        self.apply_sent(entry, journalled, &mut deliveries);
        deliveries
    }

    /// Sets or takes away what an agent has registered.
    pub fn set_capabilities(&mut self, agent: AgentId, descriptor: Option<Arc<Capabilities>>) {
        self.touch(Part::Agent(agent));
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.capabilities = descriptor;
        }
    }

    fn remember_post(
        &mut self,
        client: &Arc<str>,
        id: &Arc<str>,
        at: Timestamp,
        key: MessageKey,
        message: &Message,
    ) {
        let name = (Arc::clone(client), Arc::clone(id));
        self.touch(Part::Post(Arc::clone(client), Arc::clone(id)));
        self.posts_order.push_back(name.clone());
        self.posts.insert(
            name,
            PostSeen {
                at,
                key,
                message: message.clone(),
            },
        );
        while self.posts_order.len() > POST_IDS_MAX {
            if let Some(oldest) = self.posts_order.pop_front() {
                self.touch(Part::Post(Arc::clone(&oldest.0), Arc::clone(&oldest.1)));
                self.posts.remove(&oldest);
            }
        }
    }

    fn apply_turn(&mut self, at: Timestamp, turn: &TurnRecord) {
        self.touch(Part::Agent(turn.agent));
        let Some(agent) = self.agents.get_mut(&turn.agent) else {
            return;
        };
        agent.turns = agent.turns.max(turn.turn);
        agent.cpu_micros = agent.cpu_micros.saturating_add(turn.cpu_micros);
        match (&turn.input, turn.consumed) {
            (InputRef::Message(key), true) => agent.take_mail(*key),
            (InputRef::Message(key), false) => {
                if let Some(mail) = agent.mailbox.iter_mut().find(|mail| mail.key == *key) {
                    mail.attempts += 1;
                }
            }
            (InputRef::Timer { id, .. }, _) => {
                agent.timers.remove(id);
            }
            (InputRef::Init(_) | InputRef::Migrate(_) | InputRef::Shutdown, _) => {}
        }
        match &turn.result {
            TurnResult::Faulted(fault) => {
                agent.faults += 1;
                agent.last_fault = Some((at, fault.clone()));
                return;
            }
            TurnResult::Returned(0) => {}
            TurnResult::Returned(_) => agent.errors += 1,
        }
        let by_init = matches!(turn.input, InputRef::Init(_));
        if by_init {
            agent.timers.retain(|_, timer| !timer.by_init);
            agent
                .subscriptions
                .retain(|subscription| !subscription.by_init);
        }
        agent.state_bytes = turn.state_bytes;
        agent.state_keys = turn.state_keys;
        agent.messages_sent += turn
            .sent
            .iter()
            .map(|sent| sent.to.len() as u64)
            .sum::<u64>();
        for id in &turn.timers_cancelled {
            agent.timers.remove(id);
        }
        for timer in &turn.timers_set {
            agent.timers.insert(
                timer.id,
                Timer {
                    due: timer.due,
                    by_init,
                },
            );
            agent.next_timer = agent.next_timer.max(timer.id.saturating_add(1));
        }
        agent
            .subscriptions
            .retain(|s| !turn.unsubscribed.contains(&s.id));
        for subscription in &turn.subscribed {
            agent.next_subscription = agent
                .next_subscription
                .max(subscription.id.saturating_add(1));
            agent.subscriptions.push(subscription.clone());
        }
        if let Some(capabilities) = &turn.capabilities {
            agent.capabilities = Some(Arc::clone(capabilities));
        }
    }

    /// The sender's side of everything sent: conversations, open requests, dead letters.
    fn apply_sent(&mut self, entry: &Entry, journalled: bool, deliveries: &mut Vec<Delivery>) {
        let asker = match &entry.record {
            Record::Turn(turn) => Some(Destination::Agent(turn.agent)),
            Record::Posted { client, .. } => Some(Destination::Client(Arc::clone(client))),
            _ => None,
        };
        let mut index = 0_u32;
        for sent in entry.record.sent() {
            if let Some(asker) = &asker {
                self.open_request(asker, &sent.message);
            }
            let first = MessageKey {
                shard: entry.shard,
                seq: entry.seq,
                index,
            };
            self.note_conversation(entry.at, first, sent);
            for to in &sent.to {
                let key = MessageKey {
                    shard: entry.shard,
                    seq: entry.seq,
                    index,
                };
                index = index.saturating_add(1);
                match to {
                    Destination::Dead {
                        intended,
                        code,
                        reason,
                    } => self.bury(DeadLetter {
                        key,
                        intended: Arc::clone(intended),
                        code: *code,
                        reason: reason.clone(),
                        message: sent.message.clone(),
                        at: entry.at,
                    }),
                    to => deliveries.push(Delivery {
                        key,
                        to: to.clone(),
                        message: sent.message.clone(),
                        at: entry.at,
                        journalled,
                    }),
                }
            }
        }
    }

    /// Puts a letter among the dead ones; the oldest goes where there is no room.
    pub fn bury(&mut self, letter: DeadLetter) {
        self.touch(Part::Dead(letter.key));
        self.dead_order.push_back(letter.key);
        self.dead.insert(letter.key, letter);
        while self.dead.len() > DEAD_LETTERS_MAX || self.dead_order.len() > 2 * DEAD_LETTERS_MAX {
            let Some(key) = self.dead_order.pop_front() else {
                break;
            };
            if self.dead.remove(&key).is_some() {
                self.touch(Part::Dead(key));
            }
        }
    }

    fn note_conversation(&mut self, at: Timestamp, key: MessageKey, sent: &crate::Sent) {
        let Some(id) = &sent.message.conversation_id else {
            return;
        };
        self.touch(Part::Conversation(Arc::clone(id)));
        let conversation = self.conversations.entry(Arc::clone(id)).or_default();
        conversation.last = at;
        conversation.count += 1;
        conversation.bytes += sent.message.bytes();
        conversation.lines.push_back(ConversationLine {
            key,
            at,
            performative: sent.message.performative,
            sender: Arc::clone(&sent.message.sender),
            to: sent.to.clone(),
            bytes: sent.message.bytes(),
            message: Some(sent.message.clone()),
        });
        if conversation.lines.len() > CONVERSATION_LINES_MAX {
            if let Some(line) = conversation.lines.pop_front() {
                conversation.bytes -= line.message.map_or(0, |message| message.bytes());
            }
        }
        for line in &mut conversation.lines {
            if conversation.bytes <= CONVERSATION_BYTES_MAX {
                break;
            }
            if let Some(message) = line.message.take() {
                conversation.bytes -= message.bytes();
            }
        }
    }

    /// The receiver's side: puts a message into its mailbox. Unknown receivers are passed over.
    pub fn deliver(&mut self, delivery: Delivery) {
        let Delivery {
            key,
            to,
            message,
            at,
            ..
        } = delivery;
        self.close_request(&to, &message);
        let mail = Pending {
            key,
            message,
            at,
            attempts: 0,
        };
        match to {
            Destination::Agent(id) => {
                self.touch(Part::Agent(id));
                if let Some(agent) = self.agents.get_mut(&id) {
                    agent.mailbox_bytes += mail.message.bytes();
                    agent.mailbox.push_back(mail);
                }
            }
            Destination::Client(name) => {
                self.touch(Part::Client(Arc::clone(&name)));
                let client = self.clients.entry(name).or_default();
                client.replies.push_back(mail);
                if client.replies.len() > CLIENT_REPLIES_MAX {
                    client.replies.pop_front();
                }
            }
            Destination::Dead { .. } => {}
        }
    }

    /// Notes that an asker waits for an answer until a certain time.
    fn open_request(&mut self, asker: &Destination, message: &Message) {
        let (Some(reply_by), Some(reply_with)) = (message.reply_by, &message.reply_with) else {
            return;
        };
        if message.performative.concludes() {
            return;
        }
        let name = (destination_text(asker), Arc::clone(reply_with));
        self.touch(Part::Open(Arc::clone(&name.0), Arc::clone(&name.1)));
        let request = OpenRequest {
            asker: asker.clone(),
            message: message.clone(),
            reply_by,
        };
        self.open.insert(name, request);
    }

    fn close_request(&mut self, to: &Destination, message: &Message) {
        let Some(in_reply_to) = &message.in_reply_to else {
            return;
        };
        if self.open.is_empty() || !message.performative.concludes() {
            return;
        }
        let name = (destination_text(to), Arc::clone(in_reply_to));
        if self.open.remove(&name).is_some() {
            self.touch(Part::Open(name.0, name.1));
        }
    }

    fn take_mail(&mut self, agent: AgentId, key: MessageKey) {
        self.touch(Part::Agent(agent));
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.take_mail(key);
        }
    }

    /// After a crash: agents that keep nothing start afresh.
    pub fn forget_memory_agents(&mut self) {
        for agent in self.agents.values_mut() {
            if agent.spec.durability == Durability::Memory {
                let status = agent.status;
                *agent = AgentState::new(Arc::clone(&agent.spec));
                agent.status = status;
            }
        }
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
        if let Some(at) = self.mailbox.iter().position(|mail| mail.key == key)
            && let Some(mail) = self.mailbox.remove(at)
        {
            self.mailbox_bytes = self.mailbox_bytes.saturating_sub(mail.message.bytes());
        }
    }
}
