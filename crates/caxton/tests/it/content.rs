//! A message's content on its way from the command line to the agent and back: nothing alters it.

use crate::{
    command::{caxton, guest},
    node::NodeProcess,
};

const WRITTEN: [&str; 9] = [
    r#"{"n":123456789012345678901234567890}"#,
    "1.10",
    r#"{"a":1,"a":2}"#,
    r#"{ "a" : [ 1.0 , -0 , 1e5 ] }"#,
    "-5",
    "-1.5e10",
    "\"t\\u00e9\\/xt\"",
    "true",
    "[[[[1]]]]",
];

fn content_of(json: &str) -> String {
    let at = json.find("\"content\":").unwrap() + "\"content\":".len();
    json[at..].to_owned()
}

#[test]
fn content_arrives_as_it_was_written() {
    let node = NodeProcess::start();
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    for (index, written) in WRITTEN.iter().enumerate() {
        let conversation = format!("c-{index}");
        let send = ["send", "echo", written, "--conversation-id", &conversation];
        node.caxton(&send).ok();
        let args = [
            "messages",
            "--conversation-id",
            &conversation,
            "--output",
            "json",
        ];
        let read = node.caxton(&args).ok().stdout;
        assert!(content_of(&read).starts_with(written), "{written}: {read}");
        let shown = node.caxton(&args[..3]).ok().stdout;
        let first = shown.lines().next().unwrap();
        let end = match written.strip_prefix('"') {
            Some(_) => "té/xt",
            None => written,
        };
        assert!(first.ends_with(&format!(" {end}")), "{written}: {first}");
    }
    let whole = r#"{"performative":"inform","receiver":"echo","content":{"n":1.10},"conversation_id":"whole","x-note":1.20}"#;
    node.caxton(&["send", "--message", whole]).ok();
    let args = ["messages", "--conversation-id", "whole", "--output", "json"];
    let read = node.caxton(&args).ok().stdout;
    assert!(
        read.contains(r#"{"n":1.10}"#) && read.contains(r#""x-note":1.20"#),
        "{read}"
    );
}

#[test]
fn text_is_sent_as_text_and_broken_json_is_refused_with_its_place() {
    let node = NodeProcess::start();
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    let sent = |args: &[&str]| {
        let more = ["--conversation-id", "c", "--output", "json"];
        let done = node.caxton(&[&["send"], &more[..2], &["echo"], args].concat());
        assert_eq!(done.code, 0, "{done:#?}");
        let args = [&["messages"], &more[..]].concat();
        let read = node.caxton(&args).ok().json();
        let mail = read.as_array().unwrap().clone();
        let own = mail
            .iter()
            .rev()
            .find(|mail| mail["message"]["receiver"] == "echo");
        own.unwrap()["message"]["content"].clone()
    };
    assert_eq!(sent(&["two  blanks  "]), "two  blanks  ");
    assert_eq!(sent(&["5 apples", "--text"]), "5 apples");
    assert_eq!(sent(&[r#"{"a":1,}"#, "--text"]), r#"{"a":1,}"#);
    let refused = |content: &str, words: &[&str]| {
        node.caxton(&["send", "echo", content]).fails(2, words);
    };
    refused(r#"{"a":1,}"#, &["line 1 column 8", "--text"]);
    refused("5 apples", &["line 1 column 3", "--text"]);
    refused(r#"{"n":1e400}"#, &["1.8e308"]);
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    refused(&deep, &["nested deeper"]);
}

#[test]
fn a_run_uses_the_given_sender_and_prints_everything_the_agent_sent() {
    let folder = tempfile::tempdir().unwrap();
    let data = |to: &str| format!(r#"{{"performative":"inform","receiver":{to},"content":1.10}}"#);
    let texts = [r#""alice""#, r#""bob""#, r#"["bob","nobody"]"#].map(data);
    let sends: String = (1..)
        .zip(&texts)
        .map(|(at, text)| {
            format!(
                "(drop (call $send (i32.const {}) (i32.const {})))",
                at * 1024,
                text.len()
            )
        })
        .collect();
    let segments: String = (1..)
        .zip(&texts)
        .map(|(at, text)| format!("(data (i32.const {}) {text:?})", at * 1024))
        .collect();
    let text = format!(
        r#"(module
          (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
          (memory (export "memory") 4)
          {segments}
          (func (export "caxton_alloc") (param i32) (result i32) (i32.const 131072))
          (func (export "handle_message") (param i32 i32) (result i32) {sends} (i32.const 0)))"#
    );
    // The file's name can be no agent's.
    let path = folder.path().join("1.wasm").display().to_string();
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let from = |sender: &str| {
        format!(r#"{{"performative":"request","sender":"{sender}","content":{{}}}}"#)
    };
    let (bob, alice) = (from("bob"), from("alice"));
    // Nobody knows of alice while bob is answered; both are answered by name alone.
    let done = caxton(&["run", &path, "--message", &bob, "--message", &alice]).ok();
    for (to, times) in [
        (r#""alice""#, 1),
        (r#""bob""#, 2),
        (r#"["bob","nobody"]"#, 2),
    ] {
        let receiver = format!("\"receiver\":{to},");
        assert_eq!(
            done.stdout.matches(&receiver).count(),
            times,
            "{to}: {done:#?}"
        );
    }
    assert_eq!(done.stdout.matches("1.10").count(), 5, "{done:#?}");
    assert!(!done.stderr.contains("no reply"), "{done:#?}");
    let done = caxton(&["run", &path, "--message", "{}", "--message", "[]"]).ok();
    assert!(
        done.stderr.contains("note: 2 messages got no reply"),
        "{done:#?}"
    );
    let done = caxton(&["run", &path, "--message", "{}"]).ok();
    assert!(
        done.stderr.contains("note: 1 message got no reply"),
        "{done:#?}"
    );
}

#[test]
fn each_of_several_messages_reaches_a_processor() {
    let reverse = guest("reverse-bytes-c");
    let several = ["run", &reverse, "--message", "abc", "--message", "def"];
    assert_eq!(caxton(&several).ok().stdout, "cbafed");
    let json = caxton(&[&several[..], &["--output", "json"]].concat()).ok();
    let outputs: Vec<serde_json::Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["output"].clone())
        .collect();
    assert_eq!(outputs, ["cba", "fed"]);
}

#[test]
fn bare_content_is_held_to_the_depth_of_a_message() {
    let echo = guest("echo-c");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    caxton(&["run", &echo, "--message", &nested(63)]).ok();
    caxton(&["run", &echo, "--message", &nested(64)]).fails(2, &["nested deeper than 64"]);
}
