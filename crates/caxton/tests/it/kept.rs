//! What a node accepts it reads back: through its journal, its checkpoint, the API and the CLI, also
//! after a kill and without the checkpoint.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::{
    command::{guest, program, run, text_guest},
    node::NodeProcess,
};

/// Posts a body; the status.
fn post(node: &NodeProcess, token: &str, body: &str) -> u16 {
    let address = node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "POST /api/v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("{answer}"));
    status.parse().unwrap()
}

fn many_fields(count: usize) -> String {
    (0..count).map(|n| format!(r#","x{n:03}":0"#)).collect()
}

fn nested(depth: usize) -> String {
    format!("{}1.50{}", "[".repeat(depth), "]".repeat(depth))
}

/// Messages at every bound, and some beyond.
fn messages() -> Vec<String> {
    let message = |receiver: &str, more: &str| {
        format!(
            r#"{{"performative":"inform","receiver":{receiver},"conversation_id":"kept"{more}}}"#
        )
    };
    let (name, field) = ("n".repeat(1_024), "f".repeat(1_024));
    let list = |one: &str| format!("[{}]", vec![format!("\"{one}\""); 1_000].join(","));
    let content = |json: &str| format!(r#","content":{json}"#);
    let texts = [
        "reply_with",
        "in_reply_to",
        "reply_to",
        "protocol",
        "ontology",
        "language",
    ];
    let texts: String = texts
        .iter()
        .map(|text| format!(r#","{text}":"{field}""#))
        .collect();
    let mut all = vec![
        message("\"keeps\"", &texts),
        message(&list("keeps"), &content("1")),
        message(&format!("[\"keeps\",\"{name}\"]"), &content("1")),
        message(
            &format!("[\"keeps\",\"{}\"]", r"\u001b[2J\u202e\u0000"),
            &content("1"),
        ),
        message(&format!("{{\"capability\":\"{name}\"}}"), &content("1")),
        message(&format!("\"{name}\""), &content("1")),
        message(
            "\"keeps\"",
            r#","reply_by":"9999-12-31T23:59:59Z","reply_with":"r""#,
        ),
        message("\"keeps\"", r#","reply_by":"2026-02-30T00:00:00Z""#),
        message("\"keeps\"", r#","encoding":"base64","content":"AAAA""#),
        message(
            "\"keeps\"",
            &content(r#"{"a": 1.10, "b":"\ud83d\ude00\u0000\u001b[2J"}"#),
        ),
        message("\"keeps\"", &content("123456789012345678901234567890")),
        message("\"keeps\"", &content("1e400")),
        message(
            "\"keeps\"",
            &content(&format!("\"{}\"", "x".repeat((1 << 20) - 400))),
        ),
    ];
    all.extend((98..103).map(|count| message("\"keeps\"", &many_fields(count))));
    all.extend((61..66).map(|depth| message("\"keeps\"", &content(&nested(depth)))));
    all.extend((1_023..1_026).map(|length| {
        let name = "n".repeat(length);
        message("\"keeps\"", &format!(r#","protocol":"{name}","{name}":0"#))
    }));
    all
}

/// What people and programs are shown of what was kept.
fn shown(node: &NodeProcess) -> Vec<String> {
    let commands: [&[&str]; 5] = [
        &["messages", "--conversation-id", "kept", "--output", "json"],
        &["conversation", "kept"],
        &["dead-letters", "list", "--output", "json"],
        &["agent", "list", "--output", "json"],
        &["agent", "inspect", "keeps", "--output", "json"],
    ];
    let shown = commands
        .iter()
        .map(|command| node.caxton(command).ok().stdout);
    shown.collect()
}

#[test]
fn whatever_is_accepted_is_read_back_after_a_kill_and_from_the_journal_alone() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("node");
    std::fs::create_dir(&data).unwrap();
    let node = NodeProcess::start_in(&data, &[]);
    let quiet = text_guest(home.path(), "quiet");
    let answers = text_guest(home.path(), "answers");
    let long = format!("{}/{}", "n".repeat(63), "a".repeat(63));
    let odd = format!(
        "\u{1b}[2J\u{202e}{}=\"{}\"",
        "k".repeat(1_000),
        "v".repeat(10_000)
    );
    let says = format!(
        r#"message={{"performative":"inform","receiver":"keeps","content":{},"conversation_id":"kept"{}}}"#,
        nested(63),
        many_fields(100)
    );
    let deploy = |args: &[&str]| node.caxton(&[&["agent", "deploy"], args].concat()).ok();
    deploy(&[
        &quiet,
        "--name",
        "keeps",
        "--capability",
        &"c".repeat(1_000),
        "--set",
        &odd,
    ]);
    deploy(&[&quiet, "--name", &long]);
    deploy(&[&quiet, "--name", "acme/keeps"]);
    deploy(&[&answers, "--name", "says", "--set", &says]);
    deploy(&[&guest("counter-c"), "--name", "counter"]);

    let admin = std::fs::read_to_string(data.join("admin-token")).unwrap();
    let scoped = node
        .caxton(&[
            "token",
            "create",
            "one",
            "--scope",
            "send",
            "--namespace",
            "acme",
            "--output",
            "json",
        ])
        .ok()
        .json();
    let scoped = scoped["token"].as_str().unwrap();
    let mut accepted = 0;
    for message in messages() {
        for token in [admin.trim(), scoped] {
            let status = post(&node, token, &message);
            assert!(
                status < 500,
                "{status}: {}",
                &message[..message.len().min(200)]
            );
            accepted += u32::from(status < 300);
        }
    }
    assert!(accepted >= 25, "{accepted} were accepted");
    // A guest's messages, with the trace of what it answers.
    node.caxton(&["send", "says", "1", "--sender", "one"]).ok();
    // A descriptor, and what the directory says of it, which nests it deeper.
    let offer = home.path().join("offer.json");
    let properties = nested(59);
    std::fs::write(
        &offer,
        format!(r#"{{"services":[{{"name":"deep","properties":{properties}}}]}}"#),
    )
    .unwrap();
    node.caxton(&["agent", "register", "keeps", offer.to_str().unwrap()])
        .ok();
    for (act, content) in [
        ("subscribe", r#"{"service":"deep"}"#.to_owned()),
        ("query-ref", r#"{"services":[{"name":"deep"}]}"#.to_owned()),
        (
            "subscribe",
            format!(r#"{{"services":[{{"name":"deep","properties":{properties}}}]}}"#),
        ),
    ] {
        let message = format!(
            r#"{{"performative":"{act}","receiver":"df","content":{content},"wait_ms":5000}}"#
        );
        assert!(post(&node, admin.trim(), &message) < 500);
    }

    let before = shown(&node);
    node.kill();
    let verify = || {
        run(
            program(&data)
                .args(["journal", "verify", "--data"])
                .arg(&data),
            b"",
        )
        .ok();
        run(
            program(&data)
                .args(["journal", "show", "--output", "json", "--data"])
                .arg(&data),
            b"",
        )
        .ok();
    };
    verify();
    let node = NodeProcess::start_in(&data, &[]);
    let again = shown(&node);
    for (again, before) in again.iter().zip(&before).take(3) {
        assert_eq!(again, before);
    }
    assert_eq!(node.terminate(), 0);
    verify();
    std::fs::remove_dir_all(data.join("checkpoint")).unwrap();
    let node = NodeProcess::start_in(&data, &[]);
    for (again, before) in shown(&node).iter().zip(&before).take(3) {
        assert_eq!(again, before);
    }
    assert_eq!(node.terminate(), 0);
}
