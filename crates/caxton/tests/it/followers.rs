//! Commands that follow a node, through its end and its next start.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use crate::{
    command::program,
    hostile::module,
    node::NodeProcess,
    signals::{signal, until_it_hears_interrupts},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A command that follows, and its lines.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(data: &std::path::Path, args: &[&str]) -> Self {
        let mut child = program(data)
            .args(args)
            .arg("--data")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        until_it_hears_interrupts(&child);
        Self { child, lines }
    }
    /// Whether a line with this word came, or comes soon.
    fn sees(&self, word: &str, soon: Duration) -> bool {
        while let Ok(line) = self.lines.recv_timeout(soon) {
            if line.contains(word) {
                return true;
            }
        }
        false
    }
    /// Ctrl-C; what it said on stderr.
    fn end(self) -> String {
        signal(&self.child, "-INT");
        let ended = self.child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130));
        String::from_utf8(ended.stderr).unwrap()
    }
}

#[test]
fn followers_outlive_a_restart_of_the_node_and_show_what_comes_after() {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    let logs = module(folder.path(), "logs", "LOG");
    node.caxton(&["agent", "deploy", &logs, "--name", "logs"])
        .ok();
    let send = |node: &NodeProcess, text: &str| {
        node.caxton(&["send", "logs", text]).ok();
    };
    let followers = [
        (
            Follower::start(home.path(), &["events", "--kind", "sent"]),
            "sent",
        ),
        (
            Follower::start(home.path(), &["messages", "--follow"]),
            "logs",
        ),
    ];
    let log = Follower::start(home.path(), &["agent", "logs", "logs", "--follow"]);
    // Nothing says when a follower has begun: it has at its first line.
    for (follower, _) in &followers {
        let mut sees = false;
        for _ in 0..200 {
            send(&node, "before");
            sees = follower.sees("before", Duration::from_millis(100));
            if sees {
                break;
            }
        }
        assert!(sees);
    }
    assert!(log.sees("forged", PATIENCE));
    while log.sees("forged", Duration::from_millis(500)) {}
    assert_eq!(node.terminate(), 0);
    let node = NodeProcess::start_in(home.path(), &[]);
    // One message, so that the new node's lines have lower numbers than those that were seen.
    send(&node, "after");
    for (follower, word) in &followers {
        assert!(follower.sees("after", PATIENCE), "{word}");
    }
    assert!(
        log.sees("forged", PATIENCE),
        "a line of the new node is hidden"
    );
    for follower in followers
        .into_iter()
        .map(|(follower, _)| follower)
        .chain([log])
    {
        let said = follower.end();
        let failed = said.lines().any(|line| line.starts_with("error"));
        assert!(!failed, "{said}");
    }
}
