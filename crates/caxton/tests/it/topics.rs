//! Events: agents of one namespace hear what they subscribed to and are granted, and nobody else does.

use std::time::{Duration, Instant};

use crate::node::NodeProcess;

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Deploys the agent of `topics.wat`.
fn deploy(node: &NodeProcess, name: &str, setting: &str, grants: &[&str]) {
    let module = node.data.join("topics.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("topics.wat")).unwrap()).unwrap();
    let module = module.to_str().unwrap();
    let mut args = vec!["agent", "deploy", module, "--name", name, "--set", setting];
    for grant in grants {
        args.extend(["--grant", grant]);
    }
    node.caxton(&args).ok();
}

fn log(node: &NodeProcess, name: &str) -> String {
    node.caxton(&["agent", "logs", name]).ok().stdout
}

/// What an agent's log says once it has said this so often.
fn has_said(node: &NodeProcess, name: &str, words: &str, count: usize) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = log(node, name);
        if log.matches(words).count() >= count {
            return log;
        }
        assert!(Instant::now() < until, "no {count} `{words}` in: {log}");
        std::thread::yield_now();
    }
}

fn ask(node: &NodeProcess, name: &str) {
    node.caxton(&["send", name, "1", "--sender", "ann"]).ok();
}

#[test]
fn an_event_is_heard_by_whoever_is_granted_its_topic_in_the_same_namespace() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    let topics = r#"listen={"topic":"issues.*"}"#;
    // The module can emit as well, so it links with a grant for that alone.
    let hears = ["event:listen=issues.*", "event:emit=none"];
    let module = node.data.join("topics.wasm");
    std::fs::write(&module, wat::parse_str(include_str!("topics.wat")).unwrap()).unwrap();
    let bare = [
        "agent",
        "deploy",
        module.to_str().unwrap(),
        "--name",
        "bare",
    ];
    node.caxton(&bare).fails(4, &["event:emit"]);
    deploy(&node, "emits", "emit=issues.new", &["event:emit=issues.*"]);
    deploy(&node, "hears", topics, &hears);
    deploy(&node, "beta/hears", topics, &hears);
    deploy(&node, "deaf", topics, &hears[1..]);
    let refused = has_said(&node, "deaf", "listen: -3", 1);
    assert!(
        refused.contains("caxton grant deaf 'event:listen=issues.*'"),
        "{refused}"
    );

    ask(&node, "emits");
    has_said(&node, "emits", "emit: +1", 1);
    let heard = has_said(&node, "hears", "caxton-event", 1);
    for part in [
        r#""sender":"emits""#,
        r#""ontology":"issues.new""#,
        r#""performative":"inform""#,
        r#""content":{"n":1}"#,
    ] {
        assert!(heard.contains(part), "{part} is not in: {heard}");
    }
    assert!(!log(&node, "beta/hears").contains("caxton-event"));

    // What is revoked is not heard, though the subscription is still there.
    node.caxton(&["revoke", "hears", "event:listen=issues.*"])
        .ok();
    ask(&node, "emits");
    has_said(&node, "emits", "emit: +0", 1);
    let denied = node
        .caxton(&["audit", "search", "--text", "event:listen"])
        .ok();
    assert!(denied.stdout.contains("hears"), "{denied:?}");
    node.caxton(&["grant", "hears", "event:listen=issues.new"])
        .ok();
    ask(&node, "emits");
    has_said(&node, "emits", "emit: +1", 2);
    has_said(&node, "hears", "caxton-event", 2);
    node.caxton(&["grant", "hears", "event:listen=issues.*"])
        .ok();
    node.kill();
    let node = NodeProcess::start_in(home.path(), &[]);
    ask(&node, "emits");
    has_said(&node, "emits", "emit: +1", 1);
    has_said(&node, "hears", "caxton-event", 1);

    node.caxton(&["revoke", "emits", "event:emit=issues.*"])
        .ok();
    ask(&node, "emits");
    let refused = has_said(&node, "emits", "emit: -3", 1);
    assert!(
        refused.contains("caxton grant emits 'event:emit=issues.new'"),
        "{refused}"
    );
    assert_eq!(log(&node, "hears").matches("caxton-event").count(), 1);

    // A client does not write one either.
    let forged = r#"{"performative":"inform","receiver":"hears","sender":"ann","protocol":"caxton-event","ontology":"issues.new"}"#;
    node.caxton(&["send", "--message", forged])
        .fails(2, &["is an event"]);
    node.kill();
}
