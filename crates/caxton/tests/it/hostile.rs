//! Text that guests made up, on its way to a terminal: nothing of it acts there or forges a line.

use std::path::Path;

use crate::{
    command::{Done, caxton, caxton_with},
    node::NodeProcess,
};

/// Clears the screen, rings, turns the reading direction, begins lines of its own.
const HOSTILE: &str =
    "x\u{1b}[2J\u{1b}[1;1Hok\nforged: line\r\u{7}\u{7f}\u{9b}1m\u{85}\u{202e}\u{2066}\u{2028}y";

/// Bytes as a text of the module format.
fn wat_text(text: &str) -> String {
    text.bytes().map(|byte| format!("\\{byte:02x}")).collect()
}

/// An agent that logs, sends, registers and faults with texts that are hostile.
pub(crate) fn module(folder: &Path, name: &str, body: &str) -> String {
    let escaped = serde_json::to_string(HOSTILE).unwrap();
    let message = |to: &str| {
        format!(
            r#"{{"performative":"inform","receiver":{to},"content":{{"a":{escaped},"b":[1.10]}}}}"#
        )
    };
    let (known, unknown) = (
        message("\"alice\""),
        message(&format!("[\"alice\",{escaped}]")),
    );
    let services = format!(r#"{{"services":[{{"name":"a","description":{escaped}}}]}}"#);
    let text = format!(
        r#"(module
          (import "caxton" "console_log" (func $log (param i32 i32)))
          (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
          (import "caxton" "register_capabilities" (func $register (param i32 i32) (result i32)))
          (memory (export "memory") 4)
          (data (i32.const 16) "{log}")
          (data (i32.const 1024) "{known}")
          (data (i32.const 2048) "{unknown}")
          (data (i32.const 3072) "{services}")
          (func (export "caxton_alloc") (param i32) (result i32) (i32.const 131072))
          (func (export "{export}") (result i32) (i32.const 0))
          (func $evil (@name "{export}") (unreachable))
          (func $handle (export "handle_message") (param i32 i32) (result i32)
            {body}
            (i32.const 0)))"#,
        log = wat_text(HOSTILE),
        known = wat_text(&known),
        unknown = wat_text(&unknown),
        services = wat_text(&services),
        export = wat_text(HOSTILE),
        body = body
            .replace(
                "LOG",
                &format!("(call $log (i32.const 16) (i32.const {}))", HOSTILE.len())
            )
            .replace(
                "UNKNOWN",
                &format!(
                    "(drop (call $send (i32.const 2048) (i32.const {})))",
                    unknown.len()
                )
            )
            .replace(
                "KNOWN",
                &format!(
                    "(drop (call $send (i32.const 1024) (i32.const {})))",
                    known.len()
                )
            )
            .replace(
                "REGISTER",
                &format!(
                    "(drop (call $register (i32.const 3072) (i32.const {})))",
                    services.len()
                )
            ),
    );
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path.display().to_string()
}

/// Whether a terminal acts on it, or shows others elsewhere because of it.
fn acts(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn is_harmless(done: &Done) {
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.contains(acts), "{done:#?}");
        let forged = text.lines().any(|line| line.starts_with("forged"));
        assert!(!forged, "{done:#?}");
    }
}

#[test]
fn nothing_that_a_module_says_without_a_node_acts_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let talks = module(folder.path(), "talks", "LOG KNOWN UNKNOWN REGISTER");
    let traps = module(folder.path(), "traps", "LOG (call $evil)");
    let message = r#"{"performative":"request","sender":"alice"}"#;
    for format in ["table", "json", "yaml"] {
        let inspected = caxton(&["inspect", &talks, "--output", format]).ok();
        assert!(inspected.stdout.contains("\\u001b[2J"), "{inspected:#?}");
        is_harmless(&inspected);
        let run = caxton(&["run", &talks, "--message", message, "--output", format]);
        assert!(run.stderr.contains("\\u001b[2J"), "{run:#?}");
        assert!(run.stdout.contains("\\u001b[2J"), "{run:#?}");
        is_harmless(&run);
        let run = caxton(&["run", &traps, "--message", message, "--output", format]);
        assert!(run.stderr.contains("  at x\\u001b[2J"), "{run:#?}");
        is_harmless(&run.fails(3, &["trap"]));
    }
    let json = caxton(&["inspect", &talks, "--output", "json"]).ok().json();
    let exports = json["exports"].as_array().unwrap();
    assert!(exports.iter().any(|export| export["name"] == HOSTILE));
}

#[test]
fn what_a_command_puts_out_stays_as_it_is_in_a_pipe() {
    let input = HOSTILE.as_bytes();
    let reverse = crate::command::guest("reverse-bytes-c");
    let once = caxton_with(&["run", &reverse], input);
    let reversed: Vec<u8> = input.iter().rev().copied().collect();
    assert_eq!(once.stdout, String::from_utf8_lossy(&reversed));
}

#[test]
fn nothing_that_a_guest_or_a_client_says_over_a_node_acts_on_a_terminal() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let talks = module(folder.path(), "talks", "LOG KNOWN UNKNOWN REGISTER");
    let traps = module(folder.path(), "traps", "LOG (call $evil)");
    for (file, name) in [(&talks, "talks"), (&traps, "traps")] {
        is_harmless(&node.caxton(&["agent", "deploy", file, "--name", name]).ok());
    }
    let content = serde_json::to_string(HOSTILE).unwrap();
    let conversation = format!("c{HOSTILE}");
    let send = |to: &str| {
        let args = [
            "send",
            to,
            &content,
            "--sender",
            "alice",
            "--conversation-id",
            &conversation,
        ];
        node.caxton(&[&args[..], &["--wait", "20s"]].concat())
    };
    is_harmless(&send("talks"));
    is_harmless(&send("traps").fails(3, &["trap"]));
    let hostile_name = node.caxton(&["agent", "inspect", HOSTILE]);
    is_harmless(&hostile_name);
    for format in ["table", "json", "yaml"] {
        for args in [
            vec!["agent", "list"],
            vec!["agent", "inspect", "talks"],
            vec!["agent", "inspect", "traps"],
            vec!["agent", "logs", "talks"],
            vec!["agent", "logs", "traps"],
            vec!["messages", "--receiver", "alice"],
            vec!["conversation", &conversation],
            vec!["dead-letters", "list"],
            vec!["events", "--after", "0-0", "--count", "4"],
            vec!["top", "--once"],
            vec!["token", "list"],
        ] {
            let done = node.caxton(&[&args[..], &["--output", format]].concat());
            is_harmless(&done.ok());
        }
    }
    let logs = node.caxton(&["agent", "logs", "talks"]).ok();
    assert_eq!(logs.stdout.lines().count(), 1, "{logs:#?}");
    let json = node
        .caxton(&["agent", "logs", "talks", "--output", "json"])
        .ok();
    assert_eq!(json.json()["text"], HOSTILE);
    let mail = node.caxton(&["messages", "--receiver", "alice"]).ok();
    assert!(mail.stdout.contains("[1.10]"), "{mail:#?}");
    let fault = node.caxton(&["agent", "inspect", "traps"]).ok();
    assert!(fault.stdout.contains("at x\\u001b[2J"), "{fault:#?}");
}
