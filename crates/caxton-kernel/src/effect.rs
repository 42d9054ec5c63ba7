//! What the node must do next, in order.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentStatus, Delivery, Entry, ErrorCode, Fault, GrantedRules, InputRef, Message,
    MessageKey, Pending, ProcessorSpec, StartReason, Timestamp,
};

use crate::{Ticket, TurnCtx};

/// What must be done. The order among the effects of one step is binding: a record is published to
/// the journal before anything in it becomes visible to anybody.
#[derive(Debug)]
pub enum Effect {
    /// Publish this record to the journal.
    Journal(Arc<Entry>),
    /// Write the rows of this record, which was published before, to the shared tables: all at once,
    /// and in the order of the records' places where several write one row.
    WriteRows(Arc<Entry>),
    /// Run a turn; [`crate::Event::TurnEnded`] answers.
    Run(Box<RunTurn>),
    /// An agent is granted something else from now on: its gate must know before its next access.
    GrantsChanged {
        /// Which agent.
        agent: AgentId,
        /// All that it is granted.
        granted: GrantedRules,
    },
    /// A processor is another one from now on.
    ProcessorChanged {
        /// Its full name.
        name: Arc<str>,
        /// What was deployed; `None`: it was removed.
        spec: Option<Arc<ProcessorSpec>>,
    },
    /// Perform the access that a turn asks for, once everything before this is durable;
    /// [`crate::Event::AccessEnded`] answers.
    Perform {
        /// Whose turn asks.
        agent: AgentId,
        /// Which turn.
        turn: u64,
        /// Which access of it, from 0.
        number: u32,
        /// By this the other side recognises a repetition.
        key: String,
    },
    /// Give a turn what its access came to, and let it go on.
    Resume {
        /// Whose turn.
        agent: AgentId,
        /// Which turn.
        turn: u64,
        /// What the guest is given.
        outcome: Arc<[u8]>,
    },
    /// End the turn that runs, now: drop the call and the instance. No `TurnEnded` follows.
    Cancel {
        /// Whose.
        agent: AgentId,
    },
    /// Drop an idle instance.
    DropInstance {
        /// Whose.
        agent: AgentId,
    },
    /// The agent is gone: forget its state.
    Forget {
        /// Which.
        agent: AgentId,
    },
    /// Hand a message to another shard.
    Forward {
        /// Which shard.
        shard: u16,
        /// The message.
        delivery: Delivery,
    },
    /// What is registered changed: tell every other shard by [`crate::Event::DirectoryChanged`].
    DirectoryChanged {
        /// The services' names.
        services: Vec<Arc<str>>,
    },
    /// Answer a request, once everything before this is durable.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// With what.
        answer: Result<Done, Refusal>,
    },
    /// A message stands in a client's mailbox: tell who waits, once everything before is durable.
    ClientMail {
        /// The client.
        client: Arc<str>,
        /// The message.
        mail: Pending,
        /// The `reply_with` of the client's request to which it is the reply, if it is one.
        answers: Option<Arc<str>>,
    },
    /// Tell whoever watches the node's events, once everything before is durable.
    Publish(NodeEvent),
}

/// A turn to run.
#[derive(Debug)]
pub struct RunTurn {
    /// Whose.
    pub agent: AgentId,
    /// Its number among the agent's, from 1.
    pub turn: u64,
    /// What it is called with. `Init` means: make a new instance first.
    pub input: TurnInput,
    /// Answers the guest's host calls; comes back as [`crate::TurnEffects`].
    pub ctx: Box<TurnCtx>,
}

/// What a turn is called with.
#[derive(Debug, Clone)]
pub enum TurnInput {
    /// Make an instance, run `agent_init`, then ask for its capabilities.
    Init(StartReason),
    /// `handle_message`.
    Message(Pending),
    /// `handle_timer`.
    Timer {
        /// Which timer.
        id: i32,
        /// When it should have fired.
        due: Timestamp,
    },
    /// `migrate`.
    Migrate {
        /// The version before.
        from: String,
    },
    /// `agent_shutdown`.
    Shutdown,
}

impl TurnInput {
    /// How the input is named in records.
    #[must_use]
    pub fn reference(&self) -> InputRef {
        match self {
            Self::Init(reason) => InputRef::Init(*reason),
            Self::Message(mail) => InputRef::Message(mail.key),
            Self::Timer { id, due } => InputRef::Timer { id: *id, due: *due },
            Self::Migrate { from } => InputRef::Migrate(from.clone()),
            Self::Shutdown => InputRef::Shutdown,
        }
    }
}

/// How a request was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Deployed, updated, stopped, started or removed.
    Agent {
        /// Which.
        agent: AgentId,
        /// What it is now.
        status: AgentStatus,
    },
    /// A processor was deployed or removed.
    Processor {
        /// Whether it took the place of one of the same name.
        replaced: bool,
    },
    /// A message was accepted.
    Posted {
        /// Its first delivery's name.
        key: MessageKey,
        /// As sealed, with its `conversation_id` and `reply_with`.
        message: Message,
        /// How many mailboxes it went to.
        deliveries: u32,
        /// Whether the acceptance survives a power loss.
        durable: bool,
        /// Whether this was a retry of one accepted earlier.
        duplicate: bool,
    },
    /// So many dead letters were taken out.
    DeadLetters {
        /// How many.
        taken: u32,
    },
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// In words.
    pub text: String,
}

impl Refusal {
    /// A refusal with its code and words.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// What watchers of the node are told.
#[derive(Debug, Clone)]
pub enum NodeEvent {
    /// An agent's place in its life changed.
    Status {
        /// When.
        at: Timestamp,
        /// Which.
        agent: AgentId,
        /// Its name.
        name: Arc<str>,
        /// What it is now.
        status: AgentStatus,
        /// Why.
        reason: String,
    },
    /// A message was sent.
    Sent {
        /// When.
        at: Timestamp,
        /// Its name.
        key: MessageKey,
        /// The message.
        message: Message,
        /// How many mailboxes it went to.
        deliveries: u32,
    },
    /// A turn faulted.
    Fault {
        /// When.
        at: Timestamp,
        /// Which agent.
        agent: AgentId,
        /// Its name.
        name: Arc<str>,
        /// Which turn.
        turn: u64,
        /// Why.
        fault: Fault,
    },
    /// A message went to the dead letters.
    DeadLetter {
        /// When.
        at: Timestamp,
        /// Its name.
        key: MessageKey,
        /// Who it was for.
        intended: Arc<str>,
        /// Why.
        code: ErrorCode,
        /// In words.
        reason: String,
    },
    /// The host kept more for somebody than its limit `host_bytes`: its oldest dead letters went.
    HostBytes {
        /// When.
        at: Timestamp,
        /// For whom: an agent's or a client's name.
        owner: Arc<str>,
        /// How many dead letters.
        letters: u32,
    },
}
