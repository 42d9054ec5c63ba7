//! Messages from and to JSON, by way of one JSON parser and one writer.
//!
//! The derived ones would bring parsers and writers of their own into every guest: twice the bytes.

use caxton_model::{FipaMessage, Performative};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value, value::RawValue};

use crate::Refusal;

/// Reads a message; `None` if the bytes are none.
pub(crate) fn read(json: &[u8]) -> Option<FipaMessage> {
    let Value::Object(mut fields) = serde_json::from_slice(json).ok()? else {
        return None;
    };
    Some(FipaMessage {
        performative: text(&mut fields, "performative")?.unwrap_or_default(),
        sender: text(&mut fields, "sender")?.unwrap_or_default(),
        receiver: fields.shift_remove("receiver").unwrap_or_default(),
        content: fields.shift_remove("content").unwrap_or_default(),
        conversation_id: text(&mut fields, "conversation_id")?,
        reply_with: text(&mut fields, "reply_with")?,
        in_reply_to: text(&mut fields, "in_reply_to")?,
        reply_by: text(&mut fields, "reply_by")?,
        reply_to: text(&mut fields, "reply_to")?,
        protocol: text(&mut fields, "protocol")?,
        ontology: text(&mut fields, "ontology")?,
        language: text(&mut fields, "language")?,
        encoding: text(&mut fields, "encoding")?,
        extra: fields,
    })
}

/// A field that is a text, null or absent. `reply_by` may also be a number of microseconds.
fn text(fields: &mut Map<String, Value>, name: &str) -> Option<Option<String>> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text)),
        Some(Value::Number(number)) if name == "reply_by" => Some(Some(number.to_string())),
        Some(_) => None,
    }
}

/// Writes a message; `content` stands in for its own where it is given.
pub(crate) fn write(message: &FipaMessage, content: Option<&RawValue>) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(&Out { message, content }).map_err(|error| Refusal::json(&error))
}

struct Out<'a> {
    message: &'a FipaMessage,
    content: Option<&'a RawValue>,
}

impl Serialize for Out<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("performative", &message.performative)?;
        if !message.sender.is_empty() {
            map.serialize_entry("sender", &message.sender)?;
        }
        map.serialize_entry("receiver", &message.receiver)?;
        match self.content {
            Some(content) => map.serialize_entry("content", content)?,
            None => map.serialize_entry("content", &message.content)?,
        }
        let texts = [
            ("conversation_id", &message.conversation_id),
            ("reply_with", &message.reply_with),
            ("in_reply_to", &message.in_reply_to),
            ("reply_by", &message.reply_by),
            ("reply_to", &message.reply_to),
            ("protocol", &message.protocol),
            ("ontology", &message.ontology),
            ("language", &message.language),
            ("encoding", &message.encoding),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        for (name, value) in &message.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A message's performative, without regard to case, `_` or `-`.
pub(crate) fn performative(message: &FipaMessage) -> Option<Performative> {
    let letters = |text: &str| {
        let letters = text.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
        letters
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let wanted = letters(&message.performative);
    Performative::ALL
        .into_iter()
        .find(|known| letters(known.as_str()) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_and_writes_what_the_derived_code_does() {
        let full = r#"{"performative":"request","sender":"me","receiver":["a","b"],"content":{"n":1.5},"conversation_id":"c","reply_with":"r","in_reply_to":"i","reply_by":"2026-01-31T12:00:00Z","reply_to":"x","protocol":"p","ontology":"o","language":"l","encoding":"e","x-trace":{"a":[1]}}"#;
        let message = read(full.as_bytes()).unwrap();
        assert_eq!(message, serde_json::from_str::<FipaMessage>(full).unwrap());
        assert_eq!(write(&message, None).unwrap(), full.as_bytes());
        for bad in ["", "[]", "{", r#"{"performative":1}"#, r#"{"sender":[]}"#] {
            assert!(read(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(read(br#"{"reply_to":null}"#).is_some());
    }

    #[test]
    fn performatives_are_read_as_the_host_reads_them() {
        let of = |text: &str| {
            performative(&FipaMessage {
                performative: text.into(),
                ..FipaMessage::default()
            })
        };
        for known in Performative::ALL {
            assert_eq!(of(known.as_str()), Some(known));
        }
        assert_eq!(of("NOT_Understood"), Some(Performative::NotUnderstood));
        assert_eq!(of("shout"), None);
    }
}
