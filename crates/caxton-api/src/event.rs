//! What `/events` streams: the `data` of each server-sent event.

use caxton_model::{AgentStatus, Frame, Message};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The `event` field of a streamed event, and what the filter `kind` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// An agent's place in its life changed.
    Status,
    /// A message was sent.
    Sent,
    /// A turn faulted.
    Fault,
    /// A message went to the dead letters.
    DeadLetter,
    /// Events were missed: the stream goes on behind the gap.
    Gap,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Status,
        Self::Sent,
        Self::Fault,
        Self::DeadLetter,
        Self::Gap,
    ];
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Sent => "sent",
            Self::Fault => "fault",
            Self::DeadLetter => "dead-letter",
            Self::Gap => "gap",
        }
    }
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventBody {
    /// An agent's place in its life changed.
    Status {
        /// When.
        at: String,
        /// The agent's id.
        agent: String,
        /// The agent's name.
        name: String,
        /// What it is now.
        #[schema(schema_with = crate::schema::status)]
        status: AgentStatus,
        /// Why.
        reason: String,
    },
    /// A message was sent.
    Sent {
        /// When.
        at: String,
        /// The message's id on this node.
        id: String,
        /// Mailboxes it went to.
        deliveries: u32,
        /// The message.
        #[schema(schema_with = crate::schema::message)]
        message: Message,
    },
    /// A turn faulted.
    Fault {
        /// When.
        at: String,
        /// The agent's id.
        agent: String,
        /// The agent's name.
        name: String,
        /// Which turn.
        turn: u64,
        /// The stable code.
        code: String,
        /// In words.
        text: String,
        /// Where the guest was, innermost first.
        #[schema(schema_with = crate::schema::backtrace)]
        backtrace: Vec<Frame>,
    },
    /// A message went to the dead letters.
    DeadLetter {
        /// When.
        at: String,
        /// The message's id on this node.
        id: String,
        /// Who it was for.
        intended: String,
        /// The stable code.
        code: String,
        /// In words.
        reason: String,
    },
    /// Events were missed.
    Gap(StreamGap),
}

/// A hole in a stream: the reader was too slow, or asked for what is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamGap {
    /// How many events were missed; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Why.
    pub reason: String,
}
