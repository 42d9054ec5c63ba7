//! Limits on what content may be, checked before a handler sees it.

use std::cell::Cell;

use caxton_model::{FipaMessage, JSON_DEPTH_MAX};
use serde_json::Value;

/// What content may be. The defaults are strict; a message over them is answered `failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    /// The whole message. Unit: bytes.
    pub data_bytes: usize,
    /// Keys of one object.
    pub keys: usize,
    /// One key. Unit: bytes.
    pub key_bytes: usize,
    /// Items of one array.
    pub items: usize,
    /// One string, but for a content under `encoding: base64`. Unit: bytes.
    pub string_bytes: usize,
    /// Levels of nesting.
    pub depth: usize,
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self {
            data_bytes: 1 << 20,
            keys: 100,
            key_bytes: 256,
            items: 1_000,
            string_bytes: 10_000,
            depth: JSON_DEPTH_MAX,
        }
    }
}

thread_local! {
    static LIMITS: Cell<Option<ContentLimits>> = Cell::new(Some(ContentLimits::default()));
}

/// Sets other limits, or none; for this instance, so do it in `init`.
pub fn set_content_limits(limits: Option<ContentLimits>) {
    LIMITS.set(limits);
}

/// What is wrong with a message's content, if anything is.
pub(crate) fn wrong(message: &FipaMessage, message_bytes: usize) -> Option<&'static str> {
    let limits = LIMITS.get()?;
    if message_bytes > limits.data_bytes {
        return Some("Data too large");
    }
    let is_base64 = message
        .encoding
        .as_deref()
        .is_some_and(|e| e.eq_ignore_ascii_case("base64"));
    if is_base64 && message.content.is_string() {
        return None;
    }
    limits.check(&message.content, 1).err()
}

impl ContentLimits {
    fn check(&self, value: &Value, depth: usize) -> Result<(), &'static str> {
        if depth > self.depth {
            return Err("Nested too deep");
        }
        match value {
            Value::Object(object) => {
                if object.len() > self.keys {
                    return Err("Object has too many keys");
                }
                object.iter().try_for_each(|(key, value)| {
                    if key.len() > self.key_bytes {
                        return Err("Key too long");
                    }
                    self.check(value, depth + 1)
                })
            }
            Value::Array(items) => {
                if items.len() > self.items {
                    return Err("Array too large");
                }
                items
                    .iter()
                    .try_for_each(|item| self.check(item, depth + 1))
            }
            Value::String(text) if text.len() > self.string_bytes => Err("String too long"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(content: Value) -> FipaMessage {
        FipaMessage {
            content,
            ..FipaMessage::default()
        }
    }

    #[test]
    fn each_limit_has_its_words() {
        let keys: serde_json::Map<String, Value> =
            (0..101).map(|i| (format!("k{i}"), Value::Null)).collect();
        let deep = (0..64).fold(json!(1), |inner, _| json!([inner]));
        for (content, expected) in [
            (json!({"a": [1, "b"]}), None),
            (json!("x".repeat(10_000)), None),
            (json!("x".repeat(10_001)), Some("String too long")),
            (json!([vec![0; 1_001]]), Some("Array too large")),
            (Value::Object(keys), Some("Object has too many keys")),
            (json!({"k".repeat(257): 1}), Some("Key too long")),
            (deep, Some("Nested too deep")),
        ] {
            assert_eq!(wrong(&of(content), 100), expected);
        }
        assert_eq!(wrong(&of(json!(1)), (1 << 20) + 1), Some("Data too large"));
    }

    #[test]
    fn base64_content_may_be_long() {
        let message = FipaMessage {
            encoding: Some("Base64".into()),
            ..of(json!("A".repeat(20_000)))
        };
        assert_eq!(wrong(&message, 20_100), None);
    }

    #[test]
    fn limits_can_be_taken_off() {
        set_content_limits(None);
        assert_eq!(wrong(&of(json!("x".repeat(10_001))), 20_000), None);
    }
}
