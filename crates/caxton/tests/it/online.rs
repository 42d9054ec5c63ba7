//! Commands that ask a node.

use crate::{
    command::{caxton, guest, text_guest},
    node::NodeProcess,
};

#[test]
fn an_agents_whole_life() {
    let node = NodeProcess::start();
    assert!(
        node.caxton(&["agent", "list"])
            .ok()
            .stdout
            .contains("no agents")
    );
    let module = guest("sample-agent-c");
    let done = node
        .caxton(&[
            "agent",
            "deploy",
            &module,
            "--name",
            "greeter",
            "--limit",
            "memory=1MiB",
            "--set",
            "a=b",
        ])
        .ok();
    assert!(done.stdout.starts_with("deployed greeter (a-"), "{done:#?}");
    let listed = node
        .caxton(&["agent", "list", "--capability", "data_processing"])
        .ok();
    assert!(
        listed.stdout.contains("greeter") && listed.stdout.contains("running"),
        "{listed:#?}"
    );
    let json = node
        .caxton(&["agent", "inspect", "greeter", "--output", "json"])
        .ok()
        .json();
    let memory = json["limits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "memory");
    assert_eq!(memory.unwrap()["limit"], 1 << 20);
    let request = r#"{"action":"process_data","data":"x","operation":"uppercase"}"#;
    let sent = node
        .caxton(&[
            "send",
            "greeter",
            request,
            "--wait",
            "20s",
            "--conversation-id",
            "c-1",
        ])
        .ok();
    assert!(
        sent.stdout.contains("durable") && sent.stdout.contains(r#""result":"X""#),
        "{sent:#?}"
    );
    let drawn = node.caxton(&["conversation", "c-1"]).ok();
    assert!(
        drawn.stdout.contains("request") && drawn.stdout.contains("◀"),
        "{drawn:#?}"
    );
    let logs = node.caxton(&["agent", "logs", "greeter"]).ok();
    assert!(logs.stdout.contains("Agent initializing"), "{logs:#?}");
    let text = node.caxton(&["agent", "inspect", "greeter"]).ok();
    assert!(text.stdout.contains("messages_per_second"), "{text:#?}");
    node.caxton(&["agent", "update", "greeter", &guest("sample-agent-rust")])
        .ok();
    node.caxton(&["send", "greeter", request, "--wait", "20s"])
        .ok();
    node.caxton(&["agent", "rollback", "greeter"]).ok();
    let stopped = node
        .caxton(&["agent", "stop", "greeter", "--drain", "--grace", "5s"])
        .ok();
    assert!(stopped.stdout.contains("stopped"), "{stopped:#?}");
    node.caxton(&["send", "greeter", request, "--wait", "20s"])
        .fails(1, &["agent-stopped"]);
    node.caxton(&["agent", "start", "greeter"]).ok();
    node.caxton(&["send", "greeter", request, "--wait", "20s"])
        .ok();
    assert_eq!(
        node.caxton(&["agent", "remove", "greeter"])
            .ok()
            .stdout
            .trim(),
        "removed greeter"
    );
    node.caxton(&["agent", "inspect", "greeter"])
        .fails(1, &["not-found", "caxton agent list"]);
}

#[test]
fn what_can_t_be_deployed_is_refused_with_its_reason() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let deploy =
        |file: &str, more: &[&str]| node.caxton(&[&["agent", "deploy", file], more].concat());
    let echo = guest("echo-c");
    deploy(&echo, &["--name", "df"]).fails(4, &["reserved-name", "help: "]);
    deploy(&echo, &["--name", "1x"]).fails(2, &["help: "]);
    deploy(&echo, &["--name", "echo"]).ok();
    deploy(&echo, &["--name", "echo"]).fails(1, &["name-taken", "choose another name"]);
    deploy(&guest("hello-c"), &["--name", "p"])
        .fails(4, &["unsupported-module", "serves as processor"]);
    deploy(&text_guest(folder.path(), "no-form"), &["--name", "n"])
        .fails(4, &["unsupported-module"]);
    deploy(&text_guest(folder.path(), "init-fails"), &["--name", "i"]).fails(3, &["init-failed"]);
    deploy(&text_guest(folder.path(), "loop-init"), &["--name", "l"]).fails(3, &["help: "]);
    deploy(&echo, &["--name", "z", "--limit", "wall=0s"]).fails(2, &["could never run"]);
}

#[test]
fn a_fault_ends_send_with_its_number_and_shows_in_inspect() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let loops = text_guest(folder.path(), "loop-message");
    node.caxton(&["agent", "deploy", &loops, "--name", "loops"])
        .ok();
    node.caxton(&["send", "loops", "{}", "--wait", "20s"])
        .fails(3, &["cpu-limit", "help: raise `cpu`"]);
    let text = node.caxton(&["agent", "inspect", "loops"]).ok();
    assert!(
        text.stdout.contains("last fault") && text.stdout.contains("cpu-limit"),
        "{text:#?}"
    );
}

#[test]
fn events_are_watched_as_they_happen() {
    let node = NodeProcess::start();
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    let mut watcher = crate::command::program(&node.data)
        .args([
            "events", "--kind", "sent", "--agent", "echo", "--count", "1", "--data",
        ])
        .arg(&node.data)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Nothing says when the watcher has begun to watch: it ends at the first message it sees.
    for _ in 0..100 {
        node.caxton(&["send", "echo", "{}", "--wait", "20s"]).ok();
        if watcher.try_wait().unwrap().is_some() {
            break;
        }
    }
    let seen = watcher.wait_with_output().unwrap();
    let text = String::from_utf8(seen.stdout).unwrap();
    assert!(
        text.contains(" sent m-") && text.lines().count() == 1,
        "{text}"
    );
    node.caxton(&["events", "--kind", "sint"])
        .fails(2, &["sent"]);
    node.caxton(&["events", "--after", "x", "--count", "1"])
        .fails(2, &["no id of an event"]);
}

#[test]
fn mail_waits_and_dead_letters_say_why() {
    let node = NodeProcess::start();
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    node.caxton(&["send", "echo", r#"{"a":1}"#, "--sender", "me"])
        .ok();
    let mail = node
        .caxton(&["messages", "--receiver", "me", "--wait", "20s", "--drop"])
        .ok();
    assert!(mail.stdout.contains("echo → me"), "{mail:#?}");
    assert!(
        node.caxton(&["messages", "--receiver", "me"])
            .ok()
            .stdout
            .contains("no messages")
    );
    node.caxton(&["messages"]).fails(2, &["--receiver"]);
    assert!(
        node.caxton(&["dead-letters", "list"])
            .ok()
            .stdout
            .contains("no dead letters")
    );
    node.caxton(&["send", "nobody", "{}"])
        .fails(1, &["nobody", "help: "]);
    node.caxton(&["dead-letters", "resend", "m-0-0-0"])
        .fails(1, &["help: "]);
    node.caxton(&["send", "echo", "{}", "--performative", "shout"])
        .fails(2, &["shout"]);
    node.caxton(&["send", "echo", "{}", "--sender", "df"])
        .fails(4, &["reserved"]);
    assert!(node.caxton(&["conversation", "none"]).stdout.len() < 200);
}

#[test]
fn tokens_are_made_used_and_revoked() {
    let node = NodeProcess::start();
    let made = node
        .caxton(&[
            "token", "create", "reader", "--scope", "read", "--output", "json",
        ])
        .ok()
        .json();
    let secret = made["token"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    let with_token = |args: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let mut command = crate::command::program(home.path());
        command
            .env("CAXTON_TOKEN", secret)
            .env("CAXTON_URL", &node.url)
            .args(args);
        crate::command::run(&mut command, b"")
    };
    with_token(&["agent", "list"]).ok();
    with_token(&["agent", "deploy", &guest("echo-c"), "--name", "e"])
        .fails(4, &["forbidden", "scope"]);
    assert!(
        node.caxton(&["token", "list"])
            .ok()
            .stdout
            .contains("reader")
    );
    node.caxton(&["token", "revoke", id]).ok();
    with_token(&["agent", "list"]).fails(4, &["unauthorized"]);
    node.caxton(&["token", "revoke", id]).fails(1, &["help: "]);
    caxton(&["agent", "list", "--url", &node.url]).fails(4, &["unauthorized", "admin token"]);
}

#[test]
fn an_agents_entry_in_the_directory_is_changed_from_the_command_line() {
    let node = NodeProcess::start();
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offer.json");
    let path = file.display().to_string();
    std::fs::write(&file, r#"{"services": [{"name": "repeat"}]}"#).unwrap();
    node.caxton(&["agent", "register", "echo", &path]).ok();
    let listed = node
        .caxton(&["agent", "list", "--capability", "repeat"])
        .ok();
    assert!(listed.stdout.contains("echo"), "{listed:#?}");
    assert_eq!(
        node.caxton(&["agent", "deregister", "echo"])
            .ok()
            .stdout
            .trim(),
        "deregistered echo"
    );
    let listed = node
        .caxton(&["agent", "list", "--capability", "repeat"])
        .ok();
    assert!(!listed.stdout.contains("echo"), "{listed:#?}");
    std::fs::write(&file, r#"{"offers": []}"#).unwrap();
    node.caxton(&["agent", "register", "echo", &path])
        .fails(2, &["no descriptor", "services"]);
}
