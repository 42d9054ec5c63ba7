//! What can happen to a shard. Closed: a new source of events is a new variant.

use std::sync::Arc;

use caxton_model::{
    AgentId, AgentSpec, Capabilities, Delivery, Digest, Fault, Fields, GrantedRule, GrantedRules,
    MessageKey, Micros, Namespace, ProcessorSpec,
};

use crate::{AccessAsked, TurnEffects};

/// Names one request of the node's, so that its answer finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happened.
#[allow(
    clippy::large_enum_variant,
    reason = "an event is moved once, into the step"
)]
#[derive(Debug)]
pub enum Event {
    /// Time has passed: timers, time-outs, restarts and idle agents may be due.
    Tick,
    /// A verified and compiled agent is to be deployed; its name is reserved in the directory.
    Deploy {
        /// Who waits.
        ticket: Ticket,
        /// What.
        spec: Arc<AgentSpec>,
        /// What it is granted.
        granted: GrantedRules,
    },
    /// What an agent is granted is to change, or a processor: that is a matter of
    /// [`crate::SHARD_OF_PROCESSORS`].
    ChangeGrants {
        /// Who waits.
        ticket: Ticket,
        /// Which agent.
        agent: AgentId,
        /// Rules that are granted; one with the same text is replaced.
        grant: Vec<GrantedRule>,
        /// Texts of rules that are taken back.
        revoke: Vec<String>,
    },
    /// A verified and compiled processor is to be deployed, in place of the one of its name. For
    /// [`crate::SHARD_OF_PROCESSORS`] alone, as what follows.
    DeployProcessor {
        /// Who waits.
        ticket: Ticket,
        /// What.
        spec: Arc<ProcessorSpec>,
        /// What it is granted, beside what the version before was.
        granted: Vec<GrantedRule>,
    },
    /// A processor is to go.
    RemoveProcessor {
        /// Who waits.
        ticket: Ticket,
        /// Its full name.
        name: Arc<str>,
    },
    /// An agent is to run another version, already compiled.
    Update {
        /// Who waits.
        ticket: Ticket,
        /// What it shall be; the id says which agent.
        spec: Arc<AgentSpec>,
    },
    /// An agent is to go back to what it was before its last update.
    Rollback {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        agent: AgentId,
    },
    /// An agent is to stop.
    Stop {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        agent: AgentId,
        /// Whether it first works off its mailbox.
        drain: bool,
        /// How long it may take until it is cut off.
        grace: Micros,
    },
    /// A stopped or failed agent is to run again.
    Start {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        agent: AgentId,
    },
    /// An agent is to go, with its mail, timers and state.
    Remove {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        agent: AgentId,
    },
    /// Its instance may be dropped now if it is idle: the node needs the memory.
    Passivate {
        /// Which.
        agent: AgentId,
    },
    /// The host keeps more for all namespaces together than it may: those with more than an even part
    /// make room.
    TrimHostBytes,
    /// A client outside sends a message.
    Post {
        /// Who waits.
        ticket: Ticket,
        /// What.
        post: Post,
    },
    /// An operator registers what an agent offers, or takes its entry out.
    Register {
        /// Who waits.
        ticket: Ticket,
        /// Whose entry.
        agent: AgentId,
        /// The new descriptor, which replaces the last; `None`: no entry.
        capabilities: Option<Arc<Capabilities>>,
    },
    /// The same, and a caller stays on the line for the reply.
    PostAndWait {
        /// Who waits.
        ticket: Ticket,
        /// What.
        post: Post,
        /// How long the caller waits for the reply.
        wait: Micros,
    },
    /// Messages arrived from other shards.
    Delivered(Vec<Delivery>),
    /// A turn has ended.
    TurnEnded(Box<TurnEnd>),
    /// A turn asks for something that cannot be taken back.
    AccessAsked(Box<AccessAsked>),
    /// What was asked for has been performed; [`crate::Effect::Resume`] answers.
    AccessEnded {
        /// Whose turn asked.
        agent: AgentId,
        /// Which turn.
        turn: u64,
        /// Which access of it, from 0.
        number: u32,
        /// What the guest is given.
        outcome: Arc<[u8]>,
    },
    /// Dead letters are to be sent again or deleted.
    TakeDeadLetters {
        /// Who waits.
        ticket: Ticket,
        /// Which ones; those of other shards are passed over.
        keys: Vec<MessageKey>,
        /// How far whoever sends them again may write; `None`: they are only deleted.
        resend: Option<Reach>,
    },
    /// A client has read these replies.
    DropReplies {
        /// The client.
        client: Arc<str>,
        /// Which ones.
        keys: Vec<MessageKey>,
    },
    /// What is registered changed on another shard: whoever subscribed here is told.
    DirectoryChanged {
        /// The services' names.
        services: Vec<Arc<str>>,
    },
    /// The node is going down: no new turns.
    Quiesce,
}

/// The namespace at which a caller's rights end; `None`: it ends nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach(pub Option<Namespace>);

/// A message from outside, checked, not yet sealed.
#[derive(Debug, Clone)]
pub struct Post {
    /// The client's name: neither an agent's nor reserved, which the kernel checks.
    pub client: Arc<str>,
    /// The namespace the client's token ends at; `None`: an operator, who may send anywhere.
    pub namespace: Option<Namespace>,
    /// The client's own id for the message.
    pub message_id: Option<Arc<str>>,
    /// The message; the sender is set to the client's name, absent `reply_with` and
    /// `conversation_id` are filled in.
    pub fields: Fields,
}

impl Post {
    /// Fills in the names by which an answer finds the message, where the client gave none.
    ///
    /// They follow from the message's id, if it has one, so that a retry has the same.
    pub fn fill_names(&mut self, other: impl FnOnce() -> Arc<str>) {
        let name = self.name_by_id().unwrap_or_else(other);
        let fields = &mut self.fields;
        fields.reply_with.get_or_insert_with(|| Arc::clone(&name));
        fields.conversation_id.get_or_insert(name);
    }
    /// What [`Self::fill_names`] takes for a message with an id.
    pub(crate) fn name_by_id(&self) -> Option<Arc<str>> {
        let id = self.message_id.as_ref()?;
        let digest = Digest::of(format!("{} {id}", self.client).as_bytes()).to_string();
        let end = digest.get(digest.len().saturating_sub(24)..)?;
        Some(format!("c-{end}").into())
    }
}

/// How a turn ended, as the node saw it.
#[derive(Debug)]
pub struct TurnEnd {
    /// Whose.
    pub agent: AgentId,
    /// Its number, as in [`crate::RunTurn`].
    pub turn: u64,
    /// What the guest returned, or its fault.
    pub result: Result<i32, Fault>,
    /// What it wanted done. Ignored after a fault.
    pub effects: TurnEffects,
    /// Time really run. Unit: microseconds.
    pub cpu_micros: u64,
    /// Whether the instance can be used again.
    pub instance_kept: bool,
    /// Whether the guest ended itself, by its own exit with code 0.
    pub ended: bool,
}
