//! Message JSON, read in one walk and written in one.
//!
//! Every message of every agent comes through here twice, so nothing is taken apart that nobody
//! looks at: content and unknown fields stay text, names are borrowed until they are kept.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess},
};
use serde_json::{Value, value::RawValue};

use crate::{
    Fields, MessageError, RawJson, Receiver, Timestamp,
    message::{EXTRA_FIELDS_MAX, FIELD_BYTES_MAX, RECEIVERS_MAX},
    units::whole_signed,
};

const RECEIVER_EXPECTED: &str =
    "expected an agent's id or name, a list of them, or {\"capability\": \"name\"}";

/// The fields that are plain texts, in the order in which [`Wire`] keeps them.
const TEXTS: [&str; 9] = [
    "sender",
    "conversation_id",
    "reply_with",
    "in_reply_to",
    "reply_to",
    "protocol",
    "ontology",
    "language",
    "encoding",
];

/// Which messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// Those that a sender may send: the bounds of [`Fields::parse`] hold.
    Admission,
    /// Those that were admitted once: a message is read whatever its sizes are, since the host adds
    /// to messages after their admission, and bounds change from one version to the next.
    Stored,
}

impl Bounds {
    /// Whether a number of things or bytes is more than is admitted.
    fn exceeds(self, count: usize, max: usize) -> bool {
        self == Self::Admission && count > max
    }
}

/// What was read, before it is judged as a whole.
struct Wire<'a, 'k> {
    bounds: Bounds,
    /// Texts that are shared where they stand in it again.
    known: &'k [&'k Arc<str>],
    performative: Option<Cow<'a, str>>,
    receiver: Option<Receiver>,
    content: Option<&'a RawValue>,
    reply_by: Option<&'a RawValue>,
    texts: [Option<Arc<str>>; TEXTS.len()],
    extra: Vec<(Arc<str>, &'a RawValue)>,
    /// Which known fields stood there, null ones too: one bit each.
    seen: u32,
}

/// Reads a message's fields. For admission, the JSON's size and depth were checked before.
pub(crate) fn read(
    text: &str,
    known: &[&Arc<str>],
    bounds: Bounds,
) -> Result<Fields, MessageError> {
    let mut wire = Wire {
        bounds,
        known,
        performative: None,
        receiver: None,
        content: None,
        reply_by: None,
        texts: Default::default(),
        extra: Vec::new(),
        seen: 0,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    wire.deserialize(&mut json)?;
    json.end()?;
    let Some(performative) = wire.performative else {
        return Err(MessageError::Missing {
            field: "performative",
        });
    };
    let reply_by_text = wire.reply_by.filter(|raw| raw.get() != "null");
    let reply_by = match reply_by_text.map(reply_by).transpose() {
        Err(_) if bounds == Bounds::Stored => None,
        read => read?,
    };
    let [
        sender,
        conversation_id,
        reply_with,
        in_reply_to,
        reply_to,
        protocol,
        ontology,
        language,
        encoding,
    ] = wire.texts;
    Ok(Fields {
        performative: performative.parse()?,
        sender: sender.unwrap_or_default(),
        receiver: wire
            .receiver
            .ok_or(MessageError::Missing { field: "receiver" })?,
        content: wire.content.map(RawJson::from).unwrap_or_default(),
        conversation_id,
        reply_with,
        in_reply_to,
        reply_by_text: reply_by_text.map(RawJson::from),
        reply_by,
        reply_to,
        protocol,
        ontology,
        language,
        encoding,
        extra: wire
            .extra
            .into_iter()
            .map(|(name, raw)| (name, RawJson::from(raw)))
            .collect(),
    })
}

/// A text on the heap: one that is there already, if it is known.
fn shared(text: &str, known: &[&Arc<str>]) -> Arc<str> {
    let known = known.iter().find(|known| known.as_ref() == text);
    known.map_or_else(|| text.into(), |known| Arc::clone(known))
}

fn reply_by(raw: &RawValue) -> Result<Timestamp, MessageError> {
    let at = match serde_json::from_str::<Value>(raw.get()) {
        Ok(Value::String(text)) => Timestamp::parse(&text),
        Ok(Value::Number(number)) => whole_signed(&number).map(Timestamp),
        _ => None,
    };
    at.filter(|at| at.has_date())
        .ok_or_else(|| MessageError::Field {
            field: "reply_by".to_owned(),
            reason: format!(
                "expected a time such as \"2026-01-31T12:00:00Z\", or microseconds since 1970; got {}",
                head(raw.get())
            ),
        })
}

/// The beginning of a text, to show in an error.
fn head(text: &str) -> String {
    let mut head: String = text.chars().take(40).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

impl<'de> Wire<'de, '_> {
    const fn text(&self, name: &'static str) -> Text {
        Text {
            name,
            bounds: self.bounds,
        }
    }
    /// Takes the value of the field `key`; answers whether it stood there before.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        let bit = match key {
            "performative" => {
                self.performative = map.next_value_seed(self.text("performative"))?;
                0
            }
            "receiver" => {
                self.receiver = Some(match map.next_value_seed(ReceiverSeed(self.bounds))? {
                    Wanted::One(name) => Receiver::One(shared(&name, self.known)),
                    Wanted::Others(receiver) => receiver,
                });
                1
            }
            "content" => {
                self.content = Some(map.next_value()?);
                2
            }
            "reply_by" => {
                self.reply_by = Some(map.next_value()?);
                3
            }
            _ => {
                let known = TEXTS.iter().zip(&mut self.texts).zip(4_u32..);
                let Some(((name, place), bit)) = known.into_iter().find(|((n, _), _)| **n == key)
                else {
                    let before = self.bounds == Bounds::Admission
                        && self.extra.iter().any(|(name, _)| &**name == key);
                    self.extra.push((key.into(), map.next_value()?));
                    return Ok(before);
                };
                let text = map.next_value_seed(Text {
                    name,
                    bounds: self.bounds,
                })?;
                *place = text.map(|text| shared(&text, self.known));
                bit
            }
        };
        let before = self.seen & (1 << bit) != 0;
        self.seen |= 1 << bit;
        Ok(before)
    }
}

/// Read where it stands: it is too large to be handed from one function to the next.
impl<'de> DeserializeSeed<'de> for &mut Wire<'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for &mut Wire<'de, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with the fields of a FIPA message")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(self.text("a field's name"))? {
            let key = key.unwrap_or_default();
            if self.take(&key, &mut map)? && self.bounds == Bounds::Admission {
                return Err(de::Error::custom(format!(
                    "field `{key}` stands there twice"
                )));
            }
            if self.bounds.exceeds(self.extra.len(), EXTRA_FIELDS_MAX) {
                let max = EXTRA_FIELDS_MAX;
                return Err(de::Error::custom(format!("more than {max} unknown fields")));
            }
        }
        Ok(())
    }
}

/// A text or null, borrowed where it has no escapes; the name is for the error.
struct Text {
    name: &'static str,
    bounds: Bounds,
}

impl Text {
    fn fits<E: de::Error>(&self, text: &str) -> Result<(), E> {
        if !self.bounds.exceeds(text.len(), FIELD_BYTES_MAX) {
            return Ok(());
        }
        let (name, bytes) = (self.name, text.len());
        Err(E::custom(format!(
            "field `{name}`: at most {FIELD_BYTES_MAX} bytes, got {bytes}"
        )))
    }
}

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<Cow<'de, str>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Text {
    type Value = Option<Cow<'de, str>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text as `{}`", self.name)
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        self.fits(text)?;
        Ok(Some(Cow::Borrowed(text)))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.fits(text)?;
        Ok(Some(Cow::Owned(text.to_owned())))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A receiver in one of its three forms.
enum Wanted<'a> {
    One(Cow<'a, str>),
    Others(Receiver),
}

struct ReceiverSeed(Bounds);

impl ReceiverSeed {
    fn name<'t, E: de::Error>(&self, text: &'t str) -> Result<&'t str, E> {
        let is_empty = self.0.exceeds(1, text.len());
        if !is_empty && !self.0.exceeds(text.len(), FIELD_BYTES_MAX) {
            return Ok(text);
        }
        let got = head(text);
        Err(E::custom(format!(
            "field `receiver`: {RECEIVER_EXPECTED}; got \"{got}\""
        )))
    }
    const fn text(&self) -> Text {
        Text {
            name: "receiver",
            bounds: self.0,
        }
    }
}

impl<'de> DeserializeSeed<'de> for ReceiverSeed {
    type Value = Wanted<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for ReceiverSeed {
    type Value = Wanted<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = RECEIVER_EXPECTED.trim_start_matches("expected ");
        write!(f, "{expected} as `receiver`")
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Wanted<'de>, E> {
        self.name(text).map(|name| Wanted::One(name.into()))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Wanted<'de>, E> {
        self.name(text)
            .map(|name| Wanted::One(name.to_owned().into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Wanted<'de>, A::Error> {
        let mut names = Vec::new();
        while let Some(text) = seq.next_element_seed(self.text())? {
            names.push(self.name(&text.unwrap_or_default())?.into());
            if self.0.exceeds(names.len(), RECEIVERS_MAX) {
                break;
            }
        }
        if self.0.exceeds(1, names.len()) || self.0.exceeds(names.len(), RECEIVERS_MAX) {
            return Err(de::Error::custom(format!(
                "field `receiver`: 1 to {RECEIVERS_MAX} names"
            )));
        }
        Ok(Wanted::Others(Receiver::List(names)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wanted<'de>, A::Error> {
        let mut capability = None;
        while let Some(key) = map.next_key_seed(self.text())? {
            if key.as_deref() != Some("capability") || capability.is_some() {
                return Err(de::Error::custom(format!(
                    "field `receiver`: {RECEIVER_EXPECTED}"
                )));
            }
            let text = map.next_value_seed(self.text())?;
            capability = Some(self.name(&text.unwrap_or_default())?.into());
        }
        match capability {
            Some(capability) => Ok(Wanted::Others(Receiver::Capability(capability))),
            None => Err(de::Error::custom(format!(
                "field `receiver`: {RECEIVER_EXPECTED}"
            ))),
        }
    }
}

/// Writes the bytes that travel; answers with them where the content stands in them.
pub(crate) fn write(fields: &Fields) -> (String, Range<usize>) {
    // Names of the fields, quotes and commas come to less than this.
    const FRAME: usize = 160;
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
    let mut out = String::with_capacity(FRAME + fields.content.as_str().len());
    out.push_str("{\"performative\":\"");
    out.push_str(fields.performative.as_str());
    out.push_str("\",\"sender\":");
    text(&mut out, &fields.sender);
    out.push_str(",\"receiver\":");
    receiver(&mut out, &fields.receiver);
    out.push_str(",\"content\":");
    let content = out.len()..out.len() + fields.content.as_str().len();
    out.push_str(fields.content.as_str());
    for (name, value) in texts {
        if let Some(value) = value {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            text(&mut out, value);
        }
    }
    if let Some(reply_by) = &fields.reply_by_text {
        out.push_str(",\"reply_by\":");
        out.push_str(reply_by.as_str());
    }
    for (name, value) in &fields.extra {
        out.push(',');
        text(&mut out, name);
        out.push(':');
        out.push_str(value.as_str());
    }
    out.push('}');
    (out, content)
}

/// Where the content stands in a message's JSON. Cost: a walk over all of it.
pub(crate) fn content_in(json: &str) -> Option<Range<usize>> {
    #[derive(serde::Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let content = serde_json::from_str::<Content<'_>>(json)
        .ok()?
        .content
        .get();
    let begin = content.as_ptr().addr().checked_sub(json.as_ptr().addr())?;
    Some(begin..begin + content.len())
}

fn receiver(out: &mut String, to: &Receiver) {
    match to {
        Receiver::One(name) => text(out, name),
        Receiver::List(names) => {
            for (index, name) in names.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                text(out, name);
            }
            out.push(']');
        }
        Receiver::Capability(name) => {
            out.push_str("{\"capability\":");
            text(out, name);
            out.push('}');
        }
    }
}

fn text(out: &mut String, text: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A text always has a JSON form.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}
