//! What is read as a message, what is refused, and what is written.

use super::*;

fn parse(text: &str) -> Result<Message, MessageError> {
    Fields::parse(text.as_bytes(), 1 << 20).map(Fields::seal)
}

#[test]
fn what_the_host_takes_as_a_time_clients_can_read() {
    let json = r#"{"performative":"inform","receiver":"a","reply_by":1767225600000000}"#;
    for written in ["1767225600000000", "1767225600000000.00", "1.7672256e15"] {
        let json = json.replace("1767225600000000", written);
        let sealed = Fields::parse(json.as_bytes(), 1 << 20).unwrap().seal();
        let plain: FipaMessage = serde_json::from_str(sealed.json()).unwrap();
        assert_eq!(
            plain.reply_by.as_deref(),
            Some("2026-01-01T00:00:00.000000Z")
        );
        let again = Fields::parse(&serde_json::to_vec(&plain).unwrap(), 1 << 20).unwrap();
        assert_eq!(again.reply_by, sealed.reply_by);
    }
    let far = json.replace("1767225600000000", "9223372036854775807");
    assert!(Fields::parse(far.as_bytes(), 1 << 20).is_err());
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
    assert_eq!(
        Message::from_sealed(message.json().to_owned()).unwrap(),
        message
    );
    let plain: FipaMessage = serde_json::from_str(message.json()).unwrap();
    assert_eq!(plain.extra.len(), 1);
}

#[test]
fn a_message_that_grew_after_its_admission_is_read_back() {
    let many: String = (0..100).map(|n| format!(r#","x{n}":0"#)).collect();
    let name = "n".repeat(1_024);
    let names = vec![format!("\"{name}\""); 1_000].join(",");
    let deep = format!("{}1{}", "[".repeat(62), "]".repeat(62));
    let json = format!(
        r#"{{"performative":"inform","receiver":[{names}],"reply_with":"{name}","content":{deep}{many}}}"#
    );
    let mut fields = Fields::parse(json.as_bytes(), 1 << 21).unwrap();
    fields.sender = format!("acme/{name}").into();
    fields.reply_with = Some(format!("acme/{name}").into());
    fields.receiver = Receiver::List(vec![format!("acme/{name}").into(); 1_001]);
    fields.content =
        RawJson::parse(&format!("{}{deep}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    fields
        .extra
        .push(("traceparent".into(), RawJson::default()));
    let sealed = fields.seal();
    assert!(Fields::parse(sealed.json().as_bytes(), 1 << 21).is_err());
    assert_eq!(
        Message::from_sealed(sealed.json().to_owned()).unwrap(),
        sealed
    );
}

#[test]
fn a_number_that_clients_cannot_read_is_refused_wherever_it_stands() {
    let with = |number: &str| {
        let json = format!(r#"{{"performative":"inform","receiver":"a","x":[{number}]}}"#);
        (
            Fields::parse(json.as_bytes(), 1 << 20).map(Fields::seal),
            json,
        )
    };
    let digits = "9".repeat(400);
    for number in [
        "1e400",
        "-1.5E+309",
        "17e20000",
        &digits,
        &format!("-{digits}.5"),
    ] {
        let (read, _) = with(number);
        assert!(
            matches!(read, Err(MessageError::NumberTooLarge)),
            "{number}: {read:?}"
        );
    }
    let text = format!("\"{digits} 1e400\"");
    for fine in ["1e300", "2E-400", "1.5", "\"1e400\"", "0.1e1", &text] {
        let (read, json) = with(fine);
        let sealed = read.unwrap_or_else(|error| panic!("{json}: {error}"));
        serde_json::from_str::<FipaMessage>(sealed.json()).unwrap();
    }
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
            "invalid type: integer `5`, expected a text as `reply_with`",
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
