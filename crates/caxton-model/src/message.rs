//! FIPA ACL messages: read once, checked, written once; the bytes then travel as they are.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use base64::Engine as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::Error as _};
use serde_json::{Value, value::RawValue};

use crate::{
    ErrorCode, JSON_DEPTH_MAX, Performative, RawJson, Timestamp, UnknownPerformative,
    json_depth_exceeds,
    json_text::{has_half_character, has_number_too_large},
    message_json::{self, Bounds},
};

/// Receivers one message may name.
///
/// Each is a delivery of its own; more is what broadcasts are for.
pub(crate) const RECEIVERS_MAX: usize = 1_000;

/// Bytes of one of the text fields (`conversation_id`, `reply_with`, …).
///
/// They are kept as keys in memory; a long one is a flood, not a name.
pub(crate) const FIELD_BYTES_MAX: usize = 1_024;

/// Fields unknown to FIPA that one message may carry.
pub(crate) const EXTRA_FIELDS_MAX: usize = 100;

/// A message with plain public fields, as clients and guests write and read it.
///
/// `R` is what the receiver is written as: any JSON, or a `String` where there is just one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "R: Deserialize<'de> + Default"))]
pub struct FipaMessage<R = Value> {
    /// One of the 22; see [`Performative`].
    pub performative: String,
    /// Set by the host for guests; a name of its own for an outside client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sender: String,
    /// An agent's id or name, a list of them, or `{"capability": "name"}`.
    pub receiver: R,
    /// JSON; under `encoding: "base64"` a text of base64.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub content: Value,
    /// The conversation this belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// What an answer must carry as `in_reply_to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_with: Option<String>,
    /// The `reply_with` of the message this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// When the sender stops waiting; what was written as microseconds is read as a date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::time::date_or_micros")]
    pub reply_by: Option<String>,
    /// Who the answer goes to, if not the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The interaction protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What the words of the content mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ontology: Option<String>,
    /// The language of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `base64` for bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Fields that FIPA does not know; kept.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, Value>,
}

/// Who a message is for, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// One agent or client, by id or name.
    One(Arc<str>),
    /// Several.
    List(Vec<Arc<str>>),
    /// Any agent that offers this capability.
    Capability(Arc<str>),
}

/// A message that was checked: its fields, and the bytes that travel.
///
/// Cheap to clone. The sender in it is true.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    inner: Arc<Inner>,
}

#[derive(PartialEq, Eq)]
struct Inner {
    fields: Fields,
    json: Text,
}

/// The bytes that travel. Long content is not kept twice: it is a part of the shared text.
enum Text {
    Own(String),
    Shared(Arc<str>),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Text {}

/// Content from this size on is shared between a message's fields and its bytes. Below it one more
/// copy costs less than a count that threads share. Unit: bytes.
pub(crate) const SHARED_CONTENT_BYTES: usize = 1_024;

/// What a message takes besides its texts: its fields, and the frames of their allocations.
/// Unit: bytes.
const MESSAGE_FRAME_BYTES: u64 = 600;

/// What each name in a list of receivers takes besides its text. Unit: bytes.
const NAME_FRAME_BYTES: u64 = 40;

/// The parts of a message the host looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// What it does.
    pub performative: Performative,
    /// Who sent it.
    pub sender: Arc<str>,
    /// Who it is for, as written.
    pub receiver: Receiver,
    /// What it says: JSON as written.
    pub content: RawJson,
    /// The conversation.
    pub conversation_id: Option<Arc<str>>,
    /// What an answer must carry.
    pub reply_with: Option<Arc<str>>,
    /// What it answers.
    pub in_reply_to: Option<Arc<str>>,
    /// Until when the sender waits, as written.
    pub reply_by_text: Option<RawJson>,
    /// Until when the sender waits.
    pub reply_by: Option<Timestamp>,
    /// Who the answer goes to.
    pub reply_to: Option<Arc<str>>,
    /// The interaction protocol.
    pub protocol: Option<Arc<str>>,
    /// What the words mean.
    pub ontology: Option<Arc<str>>,
    /// The content's language.
    pub language: Option<Arc<str>>,
    /// `base64`, or nothing.
    pub encoding: Option<Arc<str>>,
    /// Fields FIPA does not know, in the order written.
    pub extra: Vec<(Arc<str>, RawJson)>,
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// More bytes than the limit allows.
    #[error("a message has at most {max} bytes, this one {size}")]
    TooLarge {
        /// The limit. Unit: bytes.
        max: u64,
        /// What came. Unit: bytes.
        size: u64,
    },
    /// Nested too deep.
    #[error("message JSON is nested deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
    /// A text that not every reader of JSON can read.
    #[error(
        "an escape such as \\ud83d stands for half a character; write both halves, or the character"
    )]
    HalfCharacter,
    /// A number that not every reader of JSON can read.
    #[error("a number is larger than readers of JSON take (1.8e308); write it as a text")]
    NumberTooLarge,
    /// Not JSON, or a field of the wrong type.
    #[error("not a message: {0}")]
    Json(#[from] serde_json::Error),
    /// A performative there is not.
    #[error(transparent)]
    Performative(#[from] UnknownPerformative),
    /// A field that must be there is not.
    #[error("a message needs the field `{field}`")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field that cannot be read.
    #[error("field `{field}`: {reason}")]
    Field {
        /// Its name.
        field: String,
        /// What would be right.
        reason: String,
    },
}

impl MessageError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            _ => ErrorCode::MalformedMessage,
        }
    }
}

impl Fields {
    /// A message with the least fields, for what the host itself says.
    pub fn new(
        performative: Performative,
        sender: impl Into<Arc<str>>,
        receiver: impl Into<Arc<str>>,
        content: &Value,
    ) -> Self {
        Self {
            performative,
            sender: sender.into(),
            receiver: Receiver::One(receiver.into()),
            content: RawJson::from(content),
            conversation_id: None,
            reply_with: None,
            in_reply_to: None,
            reply_by_text: None,
            reply_by: None,
            reply_to: None,
            protocol: None,
            ontology: None,
            language: None,
            encoding: None,
            extra: Vec::new(),
        }
    }

    /// The host's answer to a message: in its conversation, to whoever waits for it.
    #[must_use]
    pub fn reply_to(
        message: &Message,
        performative: Performative,
        sender: impl Into<Arc<str>>,
        content: &Value,
    ) -> Self {
        let to = message
            .reply_to
            .clone()
            .unwrap_or_else(|| Arc::clone(&message.sender));
        Self {
            conversation_id: message.conversation_id.clone(),
            in_reply_to: message.reply_with.clone(),
            protocol: message.protocol.clone(),
            ..Self::new(performative, sender, to, content)
        }
    }

    /// Reads message JSON.
    ///
    /// Bounds: at most `bytes_max` bytes, 64 levels, 1,000 receivers, 1,024 bytes a text field,
    /// 100 unknown fields. The sender is what the bytes say; [`Self::seal`] takes the true one.
    /// Errors: [`MessageError`].
    pub fn parse(bytes: &[u8], bytes_max: u64) -> Result<Self, MessageError> {
        Self::parse_among(bytes, bytes_max, &[])
    }

    /// The same, among texts that are likely to stand in it: those are shared, not copied.
    pub fn parse_among(
        bytes: &[u8],
        bytes_max: u64,
        known: &[&Arc<str>],
    ) -> Result<Self, MessageError> {
        let size = bytes.len() as u64;
        if size > bytes_max {
            return Err(MessageError::TooLarge {
                max: bytes_max,
                size,
            });
        }
        let text = std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        if json_depth_exceeds(bytes, JSON_DEPTH_MAX) {
            return Err(MessageError::TooDeep);
        }
        if has_half_character(bytes) {
            return Err(MessageError::HalfCharacter);
        }
        if has_number_too_large(bytes) {
            return Err(MessageError::NumberTooLarge);
        }
        let fields = message_json::read(text, known, Bounds::Admission)?;
        fields.check_encoding()?;
        Ok(fields)
    }

    fn check_encoding(&self) -> Result<(), MessageError> {
        let is_base64 = self
            .encoding
            .as_ref()
            .is_some_and(|e| e.eq_ignore_ascii_case("base64"));
        if !is_base64 {
            return Ok(());
        }
        let decodes =
            serde_json::from_str::<Cow<'_, str>>(self.content.as_str()).is_ok_and(|text| {
                base64::engine::general_purpose::STANDARD
                    .decode(&*text)
                    .is_ok()
            });
        if decodes {
            return Ok(());
        }
        Err(MessageError::Field {
            field: "content".to_owned(),
            reason: "`encoding` says base64, but it is no text of base64".to_owned(),
        })
    }

    /// Writes the bytes that travel. The message can't be changed after that.
    #[must_use]
    pub fn seal(self) -> Message {
        let (json, content) = message_json::write(&self);
        if self.content.as_str().len() < SHARED_CONTENT_BYTES {
            return Message::of(self, Text::Own(json));
        }
        Message::sharing(self, json.into(), Some(content))
    }
}

impl Message {
    /// Reads a message that was sealed before: one from the journal. It keeps its bytes.
    ///
    /// What was admitted once is read whatever its sizes are: the host added to it after its
    /// admission, and the bounds may have been others.
    /// Errors: [`MessageError`]; then the bytes were not written by [`Fields::seal`].
    pub fn from_sealed(json: String) -> Result<Self, MessageError> {
        let fields = message_json::read(&json, &[], Bounds::Stored)?;
        if fields.content.as_str().len() < SHARED_CONTENT_BYTES {
            return Ok(Self::of(fields, Text::Own(json)));
        }
        let content = message_json::content_in(&json);
        Ok(Self::sharing(fields, json.into(), content))
    }
    fn of(fields: Fields, json: Text) -> Self {
        Self {
            inner: Arc::new(Inner { fields, json }),
        }
    }
    /// A message whose content is a part of its bytes, if it stands there.
    fn sharing(mut fields: Fields, json: Arc<str>, content: Option<Range<usize>>) -> Self {
        let part = content.and_then(|part| RawJson::within(&json, part, &fields.content));
        if let Some(part) = part {
            fields.content = part;
        }
        Self::of(fields, Text::Shared(json))
    }
    /// Two messages with the same address are one in memory, as long as both are held.
    #[must_use]
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }
    /// How many hold this message in memory.
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.inner)
    }
    /// What the message takes in memory, its fields and the allocator's overhead included.
    /// Unit: bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let names = match &self.receiver {
            Receiver::List(names) => names.len() as u64 * NAME_FRAME_BYTES,
            Receiver::One(_) | Receiver::Capability(_) => 0,
        };
        let shared = match &self.inner.json {
            Text::Own(_) => 0,
            Text::Shared(_) => self.content.as_str().len() as u64,
        };
        MESSAGE_FRAME_BYTES + names + (2 * self.bytes()).saturating_sub(shared)
    }
    /// The whole message as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.inner.json.as_str()
    }
    /// The size that mailboxes and limits count. Unit: bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.json().len() as u64
    }
    /// The fields, to make another message from.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.inner.fields
    }
    /// Who the answer goes to.
    #[must_use]
    pub fn answer_to(&self) -> &Arc<str> {
        self.reply_to.as_ref().unwrap_or(&self.sender)
    }
    /// The content's bytes, where the encoding is base64.
    #[must_use]
    pub fn content_bytes(&self) -> Option<Vec<u8>> {
        self.encoding
            .as_ref()
            .filter(|e| e.eq_ignore_ascii_case("base64"))?;
        let text: String = serde_json::from_str(self.content.as_str()).ok()?;
        base64::engine::general_purpose::STANDARD.decode(text).ok()
    }
}

/// The bytes that travel, so that they need not be copied on the way to a guest.
impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self.json().as_bytes()
    }
}
impl std::ops::Deref for Message {
    type Target = Fields;
    fn deref(&self) -> &Fields {
        &self.inner.fields
    }
}
impl Receiver {
    /// The names that it is written as; none where it is a capability.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::List(names) => names,
            Self::Capability(_) => &[],
        }
    }
}
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serde_json::from_str::<&RawValue>(self.json())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer)
        } else {
            serializer.serialize_str(self.json())
        }
    }
}
impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let raw = Box::<RawValue>::deserialize(deserializer)?;
            Self::from_sealed(raw.get().to_owned()).map_err(de::Error::custom)
        } else {
            let text = String::deserialize(deserializer)?;
            Self::from_sealed(text).map_err(de::Error::custom)
        }
    }
}

impl Serialize for Receiver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(name) => name.serialize(serializer),
            Self::List(names) => names.serialize(serializer),
            Self::Capability(name) => serializer.collect_map([("capability", name)]),
        }
    }
}

#[cfg(test)]
mod tests;
