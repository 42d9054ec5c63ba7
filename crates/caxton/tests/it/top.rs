//! `caxton top`: figures that are there and move, and a terminal that is given back.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use caxton_client::FipaMessage;
use serde_json::Value;

use crate::{
    command::{guest, text_guest},
    node::NodeProcess,
};

const PATIENCE: Duration = Duration::from_secs(120);

fn once(node: &NodeProcess, sort: &str) -> Value {
    node.caxton(&["top", "--sort", sort, "--output", "json"])
        .ok()
        .json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_load_is_measured_and_its_busiest_agents_named() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let loops = text_guest(folder.path(), "loop-message");
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    node.caxton(&["agent", "deploy", &loops, "--name", "loops"])
        .ok();
    let idle = once(&node, "cpu");
    assert_eq!(idle["agents"]["total"].as_u64().unwrap(), 2, "{idle:#}");
    // Each message keeps its agent busy until the limit on CPU, so that the next ones wait; each
    // has a sender of its own, because one whose messages fault is soon not let in.
    let client = node.client();
    for i in 0..40 {
        let message = FipaMessage {
            performative: "request".to_owned(),
            sender: format!("sender-{i}"),
            receiver: serde_json::json!("loops"),
            ..FipaMessage::default()
        };
        client.send_message(message).await.unwrap();
    }
    let mut seen = [0.0_f64; 5];
    let until = Instant::now() + PATIENCE;
    let last = loop {
        let view = once(&node, "mailbox");
        let busiest = &view["busiest"][0];
        let now = [
            view["rates"]["faults_per_second"].as_f64(),
            view["rates"]["cpu_percent"].as_f64(),
            view["waiting"]["messages"].as_f64(),
            busiest["mailbox"]["messages"].as_f64(),
            busiest["faults_per_second"].as_f64(),
        ];
        for (seen, now) in seen.iter_mut().zip(now) {
            *seen = seen.max(now.unwrap_or_else(|| panic!("a figure is missing: {view:#}")));
        }
        if seen.iter().all(|figure| *figure > 0.0) {
            assert_eq!(busiest["name"], "loops", "{view:#}");
            break view;
        }
        assert!(Instant::now() < until, "{seen:?} {view:#}");
    };
    for total in ["turns", "messages", "faults"] {
        let total = |view: &Value| view["totals"][total].as_u64().unwrap();
        assert!(total(&last) > total(&idle), "{last:#}");
    }
    for kind in ["guest", "stack", "code", "resident", "page_table"] {
        let bytes = last["memory"][format!("{kind}_bytes")].as_u64().unwrap();
        assert!(bytes > 0, "{kind}: {last:#}");
    }
    assert_eq!(last["journal"]["durable"], true);
    assert!(last["journal"]["durable_place"].as_u64() > idle["journal"]["durable_place"].as_u64());
    let text = node.caxton(&["top", "--once", "--limit", "1"]).ok().stdout;
    for word in [
        "agents 2",
        "turns ",
        "journal lag",
        "resident ",
        "MAILBOX",
        "KEPT BY THE HOST",
    ] {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
    assert_eq!(text.lines().count(), 10, "{text}");
    node.caxton(&["top", "--sort", "size"]).fails(2, &["cpu"]);
}

/// `caxton top` under a terminal of its own; what was on it until the keys had ended it.
fn watched(node: &NodeProcess, keys: &[&str]) -> String {
    let shell = format!(
        "{} top --data {}; echo \"ended with $?\"; stty -a",
        env!("CARGO_BIN_EXE_caxton"),
        node.data.display()
    );
    let mut child = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            &shell,
            "/dev/null",
        ])
        .env("TERM", "xterm")
        .env("HOME", &node.data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux gives a program a terminal");
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut text = String::new();
    let mut bytes = [0; 4096];
    let mut pressed = 0;
    loop {
        let count = stdout.read(&mut bytes).unwrap();
        if count == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        // A key is pressed when the picture has come that the one before it led to.
        let pictures = text.matches("\x1b[?2026l").count();
        if pressed < keys.len() && pictures > pressed {
            stdin.write_all(keys[pressed].as_bytes()).unwrap();
            stdin.flush().unwrap();
            pressed += 1;
        }
    }
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    let node = NodeProcess::start();
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    for (keys, code) in [(["t", "q"], 0), (["m", "\x03"], 130)] {
        let text = watched(&node, &keys);
        let (_, taken) = text.split_once("\x1b[?1049h").expect("the other screen");
        let (pictures, left) = taken.split_once("\x1b[?1049l").expect("and back");
        assert!(
            pictures.contains(" up ") && pictures.contains("echo"),
            "{text}"
        );
        let sorted = if keys[0] == "t" {
            "by turns"
        } else {
            "by memory"
        };
        assert!(pictures.contains(sorted), "{text}");
        let ended = format!("ended with {code}\r\n");
        assert!(left.contains(&ended), "{left}");
        assert!(
            left.contains(" icanon") && left.contains(" echo "),
            "{left}"
        );
        assert!(
            pictures.ends_with("\x1b[?25h"),
            "the cursor is shown again: {text}"
        );
    }
}
