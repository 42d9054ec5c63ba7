//! What `/events` streams: the `data` of each server-sent event.

use caxton_model::{AgentStatus, Frame, Message};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
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
    /// The oldest dead letters of an agent or client went, at its limit `host_bytes`.
    HostBytes,
    /// Events were missed: the stream goes on behind the gap.
    Gap,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Status,
        Self::Sent,
        Self::Fault,
        Self::DeadLetter,
        Self::HostBytes,
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
            Self::HostBytes => "host-bytes",
            Self::Gap => "gap",
        }
    }
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(remote = "Self", tag = "kind", rename_all = "kebab-case")]
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
        #[serde(deserialize_with = "buffered")]
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
    /// The oldest dead letters of an agent or client went, at its limit `host_bytes`.
    HostBytes {
        /// When.
        at: String,
        /// Whose: the agent's or client's name.
        owner: String,
        /// How many dead letters.
        letters: u32,
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

/// Reads a message from what serde has put aside while it looked for the tag.
fn buffered<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Message, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    serde_json::from_value(value).map_err(de::Error::custom)
}

impl Serialize for EventBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived function; the trait's is this one.
        EventBody::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for EventBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The message as it was written: what serde puts aside loses digits and duplicates.
        #[derive(Deserialize)]
        struct Written {
            message: Message,
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let mut json = serde_json::Deserializer::from_str(raw.get());
        // The derived function; the trait's is this one.
        let mut event = EventBody::deserialize(&mut json).map_err(de::Error::custom)?;
        if let Self::Sent { message, .. } = &mut event {
            let written: Written = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
            *message = written.message;
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_model::{Fields, Performative};

    #[test]
    fn events_go_there_and_back() {
        let written = r#"{ "n": [1.10, 123456789012345678901234567890], "n": "x" }"#;
        let mut fields = Fields::new(Performative::Inform, "a", "b", &serde_json::Value::Null);
        fields.content = caxton_model::RawJson::parse(written).unwrap();
        let sent = EventBody::Sent {
            at: "1970-01-01T00:00:00Z".to_owned(),
            id: "m-0-1-0".to_owned(),
            deliveries: 1,
            message: fields.seal(),
        };
        let gap = EventBody::Gap(StreamGap {
            missed: Some(3),
            reason: "slow".to_owned(),
        });
        for event in [sent, gap] {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(
                serde_json::from_str::<EventBody>(&text).unwrap(),
                event,
                "{text}"
            );
        }
    }
}
