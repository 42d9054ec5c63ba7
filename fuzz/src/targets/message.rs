//! Message JSON: what is accepted travels unchanged, and nothing is accepted beyond its bounds.

use caxton_model::{
    Fields, FipaMessage, JSON_DEPTH_MAX, Message, MessageError, Receiver, json_depth_exceeds,
};
use serde_json::Value;

const BYTES_MAX: u64 = 1 << 20;

pub fn check(bytes: &[u8]) {
    check_depth(bytes);
    let half = bytes.len() as u64 / 2;
    if half > 0 {
        let refused = Fields::parse(bytes, half);
        assert!(matches!(refused, Err(MessageError::TooLarge { .. })));
    }
    let fields = match Fields::parse(bytes, BYTES_MAX) {
        Ok(fields) => fields,
        Err(error) => {
            // What is shown of hostile bytes is short.
            assert!(error.to_string().len() < 4_096);
            return;
        }
    };
    match &fields.receiver {
        Receiver::One(name) | Receiver::Capability(name) => assert!(!name.is_empty()),
        Receiver::List(names) => assert!(!names.is_empty() && names.len() <= 1_000),
    }
    let sealed = fields.clone().seal();
    assert_eq!(sealed.fields(), &fields);
    // `sender` and `content` are written where they were absent; nothing else is added.
    assert!(sealed.bytes() <= bytes.len() as u64 + 64, "{sealed:?}");
    let again =
        Message::from_sealed(sealed.json().to_owned()).expect("what was sealed is a message");
    assert_eq!(again, sealed);
    let plain: FipaMessage = serde_json::from_str(sealed.json()).expect("clients read it");
    assert_eq!(plain.performative, fields.performative.as_str());
    assert_eq!(plain.sender, *fields.sender);
    let written = serde_json::to_vec(&plain).expect("clients write it");
    let of_client = Fields::parse(&written, u64::MAX).expect("and it is a message again");
    assert_eq!(of_client.reply_by, fields.reply_by);
    assert_eq!(of_client.receiver, fields.receiver);
    assert_eq!(of_client.content.value(), fields.content.value());
    let says_base64 = fields
        .encoding
        .as_ref()
        .is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
    assert_eq!(says_base64, sealed.content_bytes().is_some());
}

/// The quick look at the depth says what a parser finds.
fn check_depth(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let deep = json_depth_exceeds(bytes, JSON_DEPTH_MAX);
    let depth = depth(&value);
    assert!(
        !deep || depth > JSON_DEPTH_MAX || has_twice(bytes),
        "{depth}"
    );
    assert!(deep || depth <= JSON_DEPTH_MAX, "{depth}");
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a key may stand twice: then the value that is kept may be the shallower one.
fn has_twice(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| **byte == b':').count() > 1
}
