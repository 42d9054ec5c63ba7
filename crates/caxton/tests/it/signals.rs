//! Ctrl-C, a terminal that hangs up, and readers that have gone away.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    command::{guest, program, run, text_guest},
    node::{NodeProcess, up},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::yield_now();
    }
}

/// Waits until a process listens to SIGINT.
pub(crate) fn until_it_hears_interrupts(child: &Child) {
    let path = format!("/proc/{}/status", child.id());
    until("a handler of SIGINT", || {
        let status = std::fs::read_to_string(&path).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught & 0b10 != 0
    });
}

pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let killed = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(killed.success());
}

fn start(data: &Path, args: &[&str]) -> Child {
    program(data)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn ctrl_c_ends_every_waiting_command_with_130() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let quiet = text_guest(folder.path(), "quiet");
    node.caxton(&["agent", "deploy", &quiet, "--name", "quiet"])
        .ok();
    let data = node.data.display().to_string();
    for args in [
        &["send", "quiet", "{}", "--wait", "10m", "--data", &data][..],
        &["send", "quiet", "-", "--data", &data],
        &[
            "agent", "logs", "--follow", "quiet", "--output", "json", "--data", &data,
        ],
        &["events", "--output", "json", "--data", &data],
        &[
            "messages",
            "--receiver",
            "me",
            "--wait",
            "10m",
            "--data",
            &data,
        ],
        &["messages", "--follow", "--data", &data],
        &["events", "--data", &data],
        &["agent", "logs", "quiet", "--follow", "--data", &data],
        &["run", &quiet],
        &["run", &guest("reverse-bytes-c")],
    ] {
        let mut child = start(&node.data, args);
        // A terminal stays open, so that the end of its input is not what ends the command.
        let stdin = child.stdin.take();
        until_it_hears_interrupts(&child);
        signal(&child, "-INT");
        let ended = child.wait_with_output().unwrap();
        drop(stdin);
        assert_eq!(ended.status.code(), Some(130), "{args:?}: {ended:?}");
        assert!(
            !String::from_utf8_lossy(&ended.stderr).contains("panicked"),
            "{ended:?}"
        );
    }
}

#[test]
fn a_show_or_a_measurement_that_is_cut_short_leaves_nothing_behind() {
    for (args, code) in [(&["demo"][..], 0), (&["bench", "--quick"], 130)] {
        for name in ["-INT", "-TERM"] {
            let home = tempfile::tempdir().unwrap();
            let mut child = program(home.path())
                .args(args)
                .env("TMPDIR", home.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            until_it_hears_interrupts(&child);
            signal(&child, name);
            until("its end", || child.try_wait().unwrap().is_some());
            let ended = child.wait_with_output().unwrap();
            assert_eq!(ended.status.code(), Some(code), "{args:?}: {ended:?}");
            let left = std::fs::read_dir(home.path()).unwrap();
            let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "{args:?} left {left:?}");
        }
    }
}

/// Sends, presses Ctrl-C once the node has the message, and gives what came of it.
fn cut_short(node: &NodeProcess, conversation: &str) -> Output {
    let data = node.data.display().to_string();
    let args = [
        "send",
        "quiet",
        "{}",
        "--wait",
        "10m",
        "--conversation-id",
        conversation,
    ];
    let child = start(&node.data, &[&args[..], &["--data", &data]].concat());
    until("the message", || {
        let there = node.caxton(&["messages", "--conversation-id", conversation]);
        there.stdout.contains("quiet")
    });
    signal(&child, "-INT");
    child.wait_with_output().unwrap()
}

#[test]
fn ctrl_c_while_a_reply_is_waited_for_says_what_was_accepted() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let quiet = text_guest(folder.path(), "quiet");
    node.caxton(&["agent", "deploy", &quiet, "--name", "quiet"])
        .ok();
    // The signal may come before the node's answer reaches the command: that is said, too.
    for attempt in 0..20 {
        let ended = cut_short(&node, &format!("c-{attempt}"));
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        let shown = String::from_utf8(ended.stdout).unwrap();
        if said.contains("had not answered") {
            continue;
        }
        assert!(
            said.contains("was accepted") && said.contains("--in-reply-to"),
            "{said}"
        );
        assert!(shown.starts_with("accepted m-"), "{shown}");
        return;
    }
    panic!("the answer never came before the signal");
}

#[test]
fn ctrl_c_while_a_run_waits_for_stdin_says_what_reached_the_agent() {
    let home = tempfile::tempdir().unwrap();
    let mut child = start(home.path(), &["run", &guest("echo-c")]);
    let mut stdin = child.stdin.take().unwrap();
    let mut replies = BufReader::new(child.stdout.take().unwrap()).lines();
    let message = r#"{"performative":"request","receiver":"echo-c","content":"hello"}"#;
    for _ in 0..2 {
        writeln!(stdin, "{message}").unwrap();
        let reply = replies.next().unwrap().unwrap();
        assert!(reply.contains("hello"), "{reply}");
    }
    signal(&child, "-INT");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("2 messages reached the agent"), "{said}");
    drop(stdin);
}

#[test]
fn a_hang_up_stops_a_node_as_sigterm_does_unless_it_is_ignored() {
    let home = tempfile::tempdir().unwrap();
    // Whoever runs the tests may ignore the signal, and what is ignored is inherited.
    let start = |disposition: &str| {
        let mut by_env = Command::new("env");
        by_env
            .args([disposition, env!("CARGO_BIN_EXE_caxton")])
            .args(["up", "--listen", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(home.path())
            .stdin(Stdio::null());
        NodeProcess::start_by(&mut by_env, home.path())
    };
    let node = start("--default-signal=HUP");
    assert!(home.path().join("address").exists());
    assert_eq!(node.end_by("-HUP"), 0);
    assert!(!home.path().join("address").exists());
    let node = start("--ignore-signal=HUP");
    let pid = node.pid().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    node.caxton(&["agent", "list"]).ok();
    assert_eq!(node.terminate(), 0);
}

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_has_gone_away_ends_every_command_quietly() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    let module = guest("echo-c");
    node.caxton(&["agent", "deploy", &module, "--name", "echo"])
        .ok();
    let data = home.path().display().to_string();
    for args in [
        &["--help"][..],
        &["--version"],
        &["help", "agent"],
        &["completions", "bash"],
        &["man"],
        &["config", "schema"],
        &["config", "show", "--output", "yaml"],
        &["inspect", &module],
        &["inspect", &module, "--output", "json"],
        &["run", &module, "--message", "{}"],
        &["run", &guest("reverse-bytes-c"), "--message", "x"],
        &[
            "run",
            &guest("hello-c"),
            "--message",
            "x",
            "--output",
            "json",
        ],
        &["run", &guest("upper-command-c"), "--message", "x"],
        &["agent", "list", "--data", &data],
        &["agent", "logs", "echo", "--data", &data],
        &["send", "echo", "{}", "--wait", "20s", "--data", &data],
        &["events", "--after", "0-0", "--data", &data],
        &["top", "--once", "--data", &data],
        &["token", "list", "--data", &data],
    ] {
        let done = program(home.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(unread())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(0), "{args:?}: {done:?}");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(
            !said.contains("error:") && !said.contains("panicked"),
            "{args:?}: {said}"
        );
    }
    // What acts on several acts on all of them.
    node.caxton(&["agent", "deploy", &module, "--name", "other"])
        .ok();
    let mut remove = program(home.path());
    remove.args(["agent", "remove", "echo", "other", "--data", &data]);
    let removed = remove
        .stdin(Stdio::null())
        .stdout(unread())
        .status()
        .unwrap();
    assert!(removed.success());
    let left = node.caxton(&["agent", "list"]).ok();
    assert!(left.stdout.contains("no agents"), "{left:#?}");
}

#[test]
fn a_node_goes_on_without_a_stdout_and_leaves_no_address() {
    for closes in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let mut command = up(home.path());
        if closes {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "exec \"$@\" >&-", "sh"])
                .arg(command.get_program())
                .args(command.get_args());
            command = shell;
        } else {
            command.stdout(unread());
        }
        let mut child = command
            .stdin(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let address = home.path().join("address");
        until("an address", || address.exists());
        let data = home.path().display().to_string();
        run(
            program(home.path()).args(["agent", "list", "--data", &data]),
            b"",
        )
        .ok();
        signal(&child, "-TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!address.exists());
        if !closes {
            let said = std::fs::read_to_string(said).unwrap();
            assert!(said.contains("listening on http://127.0.0.1:"), "{said}");
        }
    }
}
