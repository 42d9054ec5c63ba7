//! FIPA ACL messages: read once, checked, written once; the bytes then travel as they are.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use base64::Engine as _;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess},
};
use serde_json::{Value, value::RawValue};

use crate::{ErrorCode, Performative, RawJson, Timestamp, UnknownPerformative};

/// Levels of nesting that message JSON may have.
///
/// Parsers recurse; 64 is far over what messages need and far under what a stack bears.
pub const JSON_DEPTH_MAX: usize = 64;

/// Receivers one message may name.
///
/// Each is a delivery of its own; more is what broadcasts are for.
const RECEIVERS_MAX: usize = 1_000;

/// Bytes of one of the text fields (`conversation_id`, `reply_with`, …).
///
/// They are kept as keys in memory; a long one is a flood, not a name.
const FIELD_BYTES_MAX: usize = 1_024;

/// Fields unknown to FIPA that one message may carry.
const EXTRA_FIELDS_MAX: usize = 100;

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
    /// When the sender stops waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    json: Box<str>,
}

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
        let size = bytes.len() as u64;
        if size > bytes_max {
            return Err(MessageError::TooLarge {
                max: bytes_max,
                size,
            });
        }
        if json_depth_exceeds(bytes, JSON_DEPTH_MAX) {
            return Err(MessageError::TooDeep);
        }
        Wire::read(serde_json::from_slice::<Wire<'_>>(bytes)?)
    }

    /// Writes the bytes that travel. The message can't be changed after that.
    #[must_use]
    pub fn seal(self) -> Message {
        let json = serde_json::to_string(&WireOut(&self))
            .unwrap_or_default()
            .into_boxed_str();
        Message {
            inner: Arc::new(Inner { fields: self, json }),
        }
    }
}

impl Message {
    /// Reads a message that was sealed before: one from the journal.
    ///
    /// Errors: [`MessageError`]; then the bytes were not written by [`Fields::seal`].
    pub fn from_sealed(json: &str) -> Result<Self, MessageError> {
        Fields::parse(json.as_bytes(), u64::MAX).map(Fields::seal)
    }
    /// The whole message as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.inner.json
    }
    /// The size that mailboxes and limits count. Unit: bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.json.len() as u64
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
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.json)
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
            Self::from_sealed(raw.get()).map_err(de::Error::custom)
        } else {
            let text = String::deserialize(deserializer)?;
            Self::from_sealed(&text).map_err(de::Error::custom)
        }
    }
}

/// Whether JSON bytes nest deeper than `max`, found without parsing and without recursion.
#[must_use]
pub fn json_depth_exceeds(bytes: &[u8], max: usize) -> bool {
    // Nothing is deeper than it has openings. Counting them is many times faster than following
    // them, and most messages end here.
    let openings = bytes.iter().filter(|b| matches!(b, b'{' | b'['));
    if openings.count() <= max {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A message's fields, borrowed from the bytes; each at most once.
#[derive(Default)]
struct Wire<'a> {
    known: BTreeMap<&'static str, &'a RawValue>,
    extra: Vec<(String, &'a RawValue)>,
}

const KNOWN: [&str; 13] = [
    "performative",
    "sender",
    "receiver",
    "content",
    "conversation_id",
    "reply_with",
    "in_reply_to",
    "reply_by",
    "reply_to",
    "protocol",
    "ontology",
    "language",
    "encoding",
];

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Wire<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object with the fields of a FIPA message")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut wire = Wire::default();
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    let value: &'de RawValue = map.next_value()?;
                    let twice = match KNOWN.into_iter().find(|known| *known == key) {
                        Some(known) => wire.known.insert(known, value).is_some(),
                        None => {
                            let twice = wire.extra.iter().any(|(name, _)| *name == key);
                            wire.extra.push((key.clone().into_owned(), value));
                            twice
                        }
                    };
                    if twice {
                        return Err(de::Error::custom(format!(
                            "field `{key}` stands there twice"
                        )));
                    }
                    if wire.extra.len() > EXTRA_FIELDS_MAX {
                        let max = EXTRA_FIELDS_MAX;
                        return Err(de::Error::custom(format!("more than {max} unknown fields")));
                    }
                }
                Ok(wire)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Wire<'_> {
    fn text(&self, field: &'static str) -> Result<Option<Arc<str>>, MessageError> {
        let wrong = |reason: String| MessageError::Field {
            field: field.to_owned(),
            reason,
        };
        let Some(raw) = self.known.get(field) else {
            return Ok(None);
        };
        let text: Option<Cow<'_, str>> = serde_json::from_str(raw.get())
            .map_err(|_| wrong(format!("expected a text, got {}", head(raw.get()))))?;
        match text {
            Some(text) if text.len() > FIELD_BYTES_MAX => Err(wrong(format!(
                "at most {FIELD_BYTES_MAX} bytes, got {}",
                text.len()
            ))),
            text => Ok(text.map(|text| Arc::from(&*text))),
        }
    }

    fn receiver(&self) -> Result<Receiver, MessageError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Capability {
            capability: String,
        }
        const EXPECTED: &str =
            "expected an agent's id or name, a list of them, or {\"capability\": \"name\"}";
        let wrong = |reason: String| MessageError::Field {
            field: "receiver".to_owned(),
            reason,
        };
        let raw = self
            .known
            .get("receiver")
            .ok_or(MessageError::Missing { field: "receiver" })?;
        let short = |text: &str| !text.is_empty() && text.len() <= FIELD_BYTES_MAX;
        if let Ok(one) = serde_json::from_str::<String>(raw.get()) {
            return if short(&one) {
                Ok(Receiver::One(one.into()))
            } else {
                Err(wrong(format!("{EXPECTED}; got {}", head(raw.get()))))
            };
        }
        if let Ok(list) = serde_json::from_str::<Vec<String>>(raw.get()) {
            if list.is_empty() || list.len() > RECEIVERS_MAX || !list.iter().all(|r| short(r)) {
                return Err(wrong(format!(
                    "1 to {RECEIVERS_MAX} names, got {}",
                    list.len()
                )));
            }
            return Ok(Receiver::List(list.into_iter().map(Into::into).collect()));
        }
        match serde_json::from_str::<Capability>(raw.get()) {
            Ok(named) if short(&named.capability) => {
                Ok(Receiver::Capability(named.capability.into()))
            }
            _ => Err(wrong(format!("{EXPECTED}; got {}", head(raw.get())))),
        }
    }

    fn reply_by(&self) -> Result<Option<(RawJson, Timestamp)>, MessageError> {
        let Some(raw) = self.known.get("reply_by").filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let at = match serde_json::from_str::<Value>(raw.get()) {
            Ok(Value::String(text)) => Timestamp::parse(&text),
            Ok(Value::Number(number)) => crate::units::whole_signed(&number).map(Timestamp),
            _ => None,
        };
        match at {
            Some(at) => Ok(Some((RawJson::from(*raw), at))),
            None => Err(MessageError::Field {
                field: "reply_by".to_owned(),
                reason: format!(
                    "expected a time such as \"2026-01-31T12:00:00Z\", or microseconds since 1970; got {}",
                    head(raw.get())
                ),
            }),
        }
    }

    fn read(self) -> Result<Fields, MessageError> {
        let performative: Performative = self
            .text("performative")?
            .ok_or(MessageError::Missing {
                field: "performative",
            })?
            .parse()?;
        let (reply_by_text, reply_by) = self.reply_by()?.unzip();
        let fields = Fields {
            performative,
            sender: self.text("sender")?.unwrap_or_default(),
            receiver: self.receiver()?,
            content: self
                .known
                .get("content")
                .map(|raw| RawJson::from(*raw))
                .unwrap_or_default(),
            conversation_id: self.text("conversation_id")?,
            reply_with: self.text("reply_with")?,
            in_reply_to: self.text("in_reply_to")?,
            reply_by_text,
            reply_by,
            reply_to: self.text("reply_to")?,
            protocol: self.text("protocol")?,
            ontology: self.text("ontology")?,
            language: self.text("language")?,
            encoding: self.text("encoding")?,
            extra: self
                .extra
                .iter()
                .map(|(name, raw)| (name.as_str().into(), RawJson::from(*raw)))
                .collect(),
        };
        fields.check_encoding()?;
        Ok(fields)
    }
}

impl Fields {
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
}

/// The beginning of a text, to show in an error.
fn head(text: &str) -> String {
    let mut head: String = text.chars().take(40).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

struct WireOut<'a>(&'a Fields);

impl Serialize for WireOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let fields = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("performative", fields.performative.as_str())?;
        map.serialize_entry("sender", &fields.sender)?;
        map.serialize_entry("receiver", &fields.receiver)?;
        map.serialize_entry("content", &fields.content)?;
        let texts = [
            ("conversation_id", &fields.conversation_id),
            ("reply_with", &fields.reply_with),
            ("in_reply_to", &fields.in_reply_to),
            ("reply_to", &fields.reply_to),
            ("protocol", &fields.protocol),
            ("ontology", &fields.ontology),
            ("language", &fields.language),
            ("encoding", &fields.encoding),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        if let Some(reply_by) = &fields.reply_by_text {
            map.serialize_entry("reply_by", reply_by)?;
        }
        for (name, value) in &fields.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
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
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Message, MessageError> {
        Fields::parse(text.as_bytes(), 1 << 20).map(Fields::seal)
    }

    #[test]
    fn a_message_is_read_and_written_with_its_unknown_fields() {
        let message = parse(
            r#"{"x-trace":{"a":[1, 2]},"performative":"REQUEST","sender":"me","receiver":"you","content":{ "n": 1.50 },"reply_by":"2026-01-31T12:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(
            message.json(),
            r#"{"performative":"request","sender":"me","receiver":"you","content":{ "n": 1.50 },"reply_by":"2026-01-31T12:00:00Z","x-trace":{"a":[1, 2]}}"#
        );
        assert_eq!(Message::from_sealed(message.json()).unwrap(), message);
        let plain: FipaMessage = serde_json::from_str(message.json()).unwrap();
        assert_eq!(plain.extra.len(), 1);
    }

    #[test]
    fn receivers_have_three_forms() {
        let receiver = |text: &str| {
            parse(&format!(r#"{{"performative":"inform","receiver":{text}}}"#))
                .map(|m| m.receiver.clone())
        };
        assert_eq!(receiver("\"a\"").unwrap(), Receiver::One("a".into()));
        assert_eq!(
            receiver(r#"["a","b"]"#).unwrap(),
            Receiver::List(vec!["a".into(), "b".into()])
        );
        assert_eq!(
            receiver(r#"{"capability":"c"}"#).unwrap(),
            Receiver::Capability("c".into())
        );
        for bad in [
            "1",
            "[]",
            "\"\"",
            "null",
            r#"{"cap":"c"}"#,
            r#"[1]"#,
            r#"{"capability":""}"#,
        ] {
            assert!(receiver(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bad_messages_say_what_is_wrong() {
        for (text, expected) in [
            ("", "not a message"),
            ("[]", "JSON object"),
            (r#"{"performative":"inform"}"#, "needs the field `receiver`"),
            (r#"{"receiver":"a"}"#, "needs the field `performative`"),
            (
                r#"{"performative":"shout","receiver":"a"}"#,
                "no FIPA performative",
            ),
            (
                r#"{"performative":"inform","receiver":"a","receiver":"b"}"#,
                "twice",
            ),
            (
                r#"{"performative":"inform","receiver":"a","reply_with":5}"#,
                "expected a text, got 5",
            ),
            (
                r#"{"performative":"inform","receiver":"a","reply_by":"soon"}"#,
                "expected a time",
            ),
            (
                r#"{"performative":"inform","receiver":"a","encoding":"base64","content":"*"}"#,
                "base64",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = format!(
            r#"{{"performative":"inform","receiver":"a","content":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(matches!(parse(&deep), Err(MessageError::TooDeep)));
        assert!(matches!(
            Fields::parse(b"{}       ", 4),
            Err(MessageError::TooLarge { max: 4, size: 9 })
        ));
    }

    #[test]
    fn depth_is_counted_outside_texts() {
        assert!(!json_depth_exceeds(br#"{"a":"[[[[\"[[["}"#, 1));
        assert!(json_depth_exceeds(b"[[]]", 1));
    }
}
