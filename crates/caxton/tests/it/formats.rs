//! JSON and YAML of every command, read by parsers that the program does not use, say the same.

use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    command::{Done, guest, program, run, text_guest},
    node::NodeProcess,
};

/// What differs between two calls: times, measures, and ids that are new each time.
const FLEETING: [&str; 22] = [
    "at",
    "id",
    "number",
    "used_secs",
    "micros",
    "wall_micros",
    "cpu_micros",
    "millis",
    "uptime_secs",
    "span_micros",
    "rates",
    "totals",
    "memory",
    "journal",
    "token",
    "created_at",
    "deployed_at",
    "reply_with",
    "in_reply_to",
    "traceparent",
    "busiest",
    "measures",
];

fn without_fleeting(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !FLEETING.contains(&name.as_str()));
            members.values_mut().for_each(without_fleeting);
        }
        Value::Array(items) => items.iter_mut().for_each(without_fleeting),
        _ => {}
    }
}

fn json_values(done: &Done) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(&done.stdout).into_iter::<Value>();
    values
        .map(|value| value.unwrap_or_else(|error| panic!("{error}: {done:#?}")))
        .collect()
}

fn yaml_values(done: &Done) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(&done.stdout)
        .map(|document| {
            Value::deserialize(document).unwrap_or_else(|error| panic!("{error}: {done:#?}"))
        })
        .collect()
}

/// Runs a command once for each format and compares.
#[track_caller]
fn same(call: impl Fn(&[&str]) -> Done, args: &[&str]) {
    let in_format = |format: &str| call(&[args, &["--output", format]].concat());
    let (json, yaml) = (in_format("json"), in_format("yaml"));
    assert_eq!(json.code, yaml.code, "{args:?}: {json:#?} {yaml:#?}");
    let (mut from_json, mut from_yaml) = (json_values(&json), yaml_values(&yaml));
    assert!(!from_json.is_empty(), "{args:?}: {json:#?}");
    from_json.iter_mut().for_each(without_fleeting);
    from_yaml.iter_mut().for_each(without_fleeting);
    assert_eq!(from_json, from_yaml, "{args:?}: {json:#?} {yaml:#?}");
}

#[test]
fn json_and_yaml_of_every_command_are_the_same_value() {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    let deploy =
        |file: &str, name: &str| node.caxton(&["agent", "deploy", file, "--name", name]).ok();
    let (echo, hello, traps) = (
        guest("echo-c"),
        guest("hello-c"),
        text_guest(folder.path(), "trap"),
    );
    deploy(&echo, "echo");
    deploy(&traps, "traps");
    let content = r#"{"n":[1.10,1e5,-0,1234567890123456789],"no":"yes","t":"a: b\n#\u001b\u0085é","e":{},"l":[[]]}"#;
    for to in ["echo", "traps"] {
        let args = [
            "send",
            to,
            content,
            "--sender",
            "me",
            "--conversation-id",
            "c",
            "--wait",
            "20s",
        ];
        node.caxton(&args);
    }
    let silent = text_guest(folder.path(), "quiet");
    deploy(&silent, "quiet");
    node.caxton(&["agent", "stop", "quiet"]).ok();
    node.caxton(&["send", "quiet", content, "--sender", "me"]);
    let ask = |args: &[&str]| node.caxton(args);
    for args in [
        &["agent", "list"][..],
        &["agent", "inspect", "echo"],
        &["agent", "inspect", "traps"],
        &["agent", "logs", "echo"],
        &["agent", "start", "quiet"],
        &["agent", "update", "echo", &echo],
        &["messages", "--receiver", "me"],
        &["messages", "--conversation-id", "c"],
        &["conversation", "c"],
        &["dead-letters", "list"],
        &["events", "--after", "0-0", "--count", "5"],
        &["top", "--once"],
        &["token", "list"],
        &[
            "send",
            "echo",
            content,
            "--sender",
            "me",
            "--wait",
            "20s",
            "--conversation-id",
            "d",
        ],
    ] {
        if args[1] == "logs" {
            continue;
        }
        same(ask, args);
    }
    // A client is bound to one token, so the one of the call before goes.
    let made = |args: &[&str]| {
        let tokens = node
            .caxton(&["token", "list", "--output", "json"])
            .ok()
            .json();
        let mut tokens = tokens.as_array().unwrap().iter();
        if let Some(before) = tokens.find(|token| token["name"] == "t") {
            let id = before["id"].as_str().unwrap();
            node.caxton(&["token", "revoke", id]).ok();
        }
        node.caxton(args)
    };
    same(
        made,
        &["token", "create", "t", "--scope", "read", "--client", "web"],
    );
    let updated = |args: &[&str]| {
        node.caxton(&["agent", "update", "echo", &echo]).ok();
        node.caxton(args)
    };
    same(updated, &["agent", "rollback", "echo"]);
    let here = |args: &[&str]| run(program(home.path()).args(args), b"");
    for args in [
        &["inspect", &echo][..],
        &["inspect", &text_guest(folder.path(), "no-form")],
        &["run", &echo, "--message", content],
        &["run", &hello, "--message", "x"],
        &["run", &hello, "--message", "x", "--message", "y"],
        &["config", "check"],
        &["config", "show", "--sources"],
        &["config", "schema"],
    ] {
        same(here, args);
    }
    assert_eq!(node.terminate(), 0);
    let data = home.path().display().to_string();
    for args in [
        &["journal", "verify", "--data", &data][..],
        &["journal", "show", "--data", &data],
        &["cache", "list", "--data", &data],
        &["cache", "stats", "--data", &data],
        &["cache", "warm", &echo, "--data", &data],
        &["cache", "clear", "--data", &data],
    ] {
        if args[1] == "clear" {
            // The second call finds nothing to remove.
            here(args).ok();
        }
        same(here, args);
    }
}
