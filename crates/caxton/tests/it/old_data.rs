//! Data directories that earlier formats were written in: a node starts over each and answers right.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::node::NodeProcess;

/// Unpacks a directory; `crates/caxton-store/tests/data/README.md` says what is in it.
fn unpacked(name: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../caxton-store/tests/data");
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(data.join(format!("format-{name}.tar.gz")))
        .args(["--strip-components=1", "-C"])
        .arg(home.path())
        .status()
        .unwrap();
    assert!(status.success(), "tar can't unpack {name}");
    home
}

/// A node goes on with a directory that was stopped.
fn goes_on(name: &str) {
    let home = unpacked(name);
    let node = NodeProcess::start_in(home.path(), &[]);
    let said = |args: &[&str]| {
        let done = node.caxton(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        done.stdout
    };
    let ask = |agent: &str| said(&["send", agent, "1", "--wait", "10s"]);
    assert!(ask("counter").contains(r#""content":{"result":6}"#));
    assert!(ask("acme/worker").contains(r#""content":{"result":4}"#));
    assert!(ask("listener").contains("hear"));
    let agents = said(&["agent", "list"]);
    for (name, status) in [
        ("stopped", "stopped"),
        ("moves", "stopped"),
        ("memo", "running"),
    ] {
        let line = agents.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(status), "{agents}");
    }
    assert!(!agents.contains("gone"), "{agents}");
    let letters = said(&["dead-letters", "list"]);
    assert_eq!(letters.matches("nobody").count(), 4, "{letters}");
    // Its `migrate` runs now.
    said(&["agent", "start", "moves"]);
    said(&["agent", "rollback", "moves"]);
    assert_eq!(node.terminate(), 0);
    let done = crate::command::run(
        crate::command::program(home.path())
            .args(["journal", "verify", "--data"])
            .arg(home.path()),
        b"",
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
}

/// A node goes on with a directory that a kill left after so many replies.
fn goes_on_after_a_kill(name: &str, replies: u32) {
    let home = unpacked(name);
    let node = NodeProcess::start_in(home.path(), &[]);
    let done = node.caxton(&["send", "counter", "1", "--wait", "10s"]);
    assert!(
        done.stdout
            .contains(&format!(r#""content":{{"result":{}}}"#, replies + 1)),
        "{}",
        done.stdout
    );
    assert_eq!(node.terminate(), 0);
}

#[test]
fn a_node_goes_on_with_a_directory_of_an_earlier_format() {
    goes_on("1-all");
    goes_on("2-all");
    goes_on("3-all");
    goes_on("4-all");
}

#[test]
fn a_node_goes_on_with_a_directory_of_an_earlier_format_that_a_kill_left() {
    goes_on_after_a_kill("1-killed", 162);
    goes_on_after_a_kill("2-killed", 41);
    goes_on_after_a_kill("3-killed", 110);
    goes_on_after_a_kill("4-killed", 76);
}
