//! Messages from and to clients outside, conversations, dead letters.

use caxton_model::{Destination, Durability, Message};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What stands beside the message's own fields in a POST to `/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SendOptions {
    /// The client's own id for the message: a retry with the same one is harmless for 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub message_id: Option<String>,
    /// Waits this long for the reply. Unit: milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::whole_number"
    )]
    #[schema(maximum = 60_000)]
    pub wait_ms: Option<u64>,
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SendResult {
    /// Its id on this node.
    #[schema(example = "m-0-12-0")]
    pub id: String,
    /// `durable`: the acceptance survives a power loss. `memory`: it lasts as long as the process.
    #[schema(schema_with = crate::schema::durability)]
    pub acknowledged: Durability,
    /// Mailboxes it went to.
    pub deliveries: u32,
    /// Whether it was a retry of one accepted earlier; then nothing was sent again.
    pub duplicate: bool,
    /// The conversation it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// What the reply carries as `in_reply_to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_with: Option<String>,
    /// The reply, if one was waited for and came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::schema::message)]
    pub reply: Option<Message>,
}

/// A message that waits in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailEntry {
    /// Its id on this node.
    pub id: String,
    /// When it was sent.
    #[schema(format = DateTime)]
    pub at: String,
    /// How often a turn on it faulted.
    pub attempts: u32,
    /// The message.
    #[schema(schema_with = crate::schema::message)]
    pub message: Message,
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationEntry {
    /// The message's id on this node.
    pub id: String,
    /// When it was sent.
    #[schema(format = DateTime)]
    pub at: String,
    /// What it did.
    #[schema(schema_with = crate::schema::performative)]
    pub performative: String,
    /// Who sent it.
    pub sender: String,
    /// Where it went: agents' ids, clients' names; `dead-letters` for what could not be delivered.
    pub to: Vec<String>,
    /// Its size. Unit: bytes.
    pub bytes: u64,
    /// The message; absent where the conversation is too long to keep every content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::schema::message)]
    pub message: Option<Message>,
}

/// What was said under one conversation id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationView {
    /// The conversation id.
    pub id: String,
    /// The lines, oldest first.
    pub lines: Vec<ConversationEntry>,
}

/// A message that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterEntry {
    /// Its id on this node.
    pub id: String,
    /// When it was given up.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who it was for.
    pub intended: String,
    /// Why, as a stable code.
    pub code: String,
    /// Why, in words.
    pub reason: String,
    /// The message.
    #[schema(schema_with = crate::schema::message)]
    pub message: Message,
}

/// How many were taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Taken {
    /// How many.
    pub taken: u32,
}

impl ConversationEntry {
    /// A destination as a conversation shows it.
    #[must_use]
    pub fn destination(to: &Destination) -> String {
        match to {
            Destination::Agent(id) => id.to_string(),
            Destination::Client(name) => name.to_string(),
            Destination::Dead { .. } => "dead-letters".to_owned(),
        }
    }
}
