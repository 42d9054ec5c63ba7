//! The node as a process: its one line, its signals, its directory.

use crate::{
    command::{caxton, guest, program, run},
    node::NodeProcess,
};

#[test]
fn a_node_stops_at_sigterm_and_starts_again_with_all_it_had() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    node.caxton(&["agent", "deploy", &guest("counter-c"), "--name", "counter"])
        .ok();
    for _ in 0..3 {
        node.caxton(&["send", "counter", "{}", "--wait", "20s"])
            .ok();
    }
    assert_eq!(node.terminate(), 0);
    assert!(
        !home.path().join("address").exists(),
        "a node that is gone has no address"
    );
    let node = NodeProcess::start_in(home.path(), &[]);
    let done = node
        .caxton(&["send", "counter", "{}", "--wait", "20s", "--output", "json"])
        .ok();
    assert_eq!(done.json()["reply"]["content"]["result"], 4);
    assert_eq!(node.terminate(), 0);
    let data = home.path().display().to_string();
    let report = caxton(&["journal", "verify", "--data", &data, "--output", "json"])
        .ok()
        .json();
    assert_eq!(report["good"], true);
    let shown = caxton(&["journal", "show", "--data", &data, "--kind", "deployed"]).ok();
    assert_eq!(shown.stdout.lines().count(), 1, "{shown:#?}");
    let stats = caxton(&["cache", "stats", "--data", &data, "--output", "json"])
        .ok()
        .json();
    assert_eq!(stats["entries"], 1);
    let cleared = caxton(&["cache", "clear", "--data", &data]).ok();
    assert_eq!(cleared.stdout.trim(), "removed 1 compiled module");
    let module = guest("echo-c");
    let warm = caxton(&["cache", "warm", &module, "--data", &data]).ok();
    assert!(warm.stdout.contains("compiled in"), "{warm:#?}");
    let warm = caxton(&["cache", "warm", &module, "--data", &data]).ok();
    assert!(warm.stdout.contains("was there"), "{warm:#?}");
    let listed = caxton(&["cache", "list", "--data", &data]).ok();
    assert_eq!(listed.stdout.lines().count(), 2, "{listed:#?}");
}

#[test]
fn a_data_directory_may_have_any_name_and_is_the_one_that_was_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = tempfile::tempdir().unwrap();
    let odd = home.path().join(std::ffi::OsStr::from_bytes(b"nd\xff"));
    let node = NodeProcess::start_in(&odd, &[]);
    node.caxton(&["agent", "list"]).ok();
    let by_variable = |args: &[&str]| {
        let mut command = program(home.path());
        run(command.env("CAXTON_DATA", &odd).args(args), b"")
    };
    by_variable(&["agent", "list"]).ok();
    let shown = by_variable(&["config", "show"]).ok();
    assert!(shown.stdout.contains("/nd\u{fffd}"), "{shown:#?}");
    assert_eq!(node.terminate(), 0);
    by_variable(&["journal", "verify"]).ok();
    by_variable(&["cache", "stats"]).ok();
    let entries = std::fs::read_dir(home.path()).unwrap();
    assert_eq!(entries.count(), 1, "another directory was made");
    let without = |name: &str, value: &std::ffi::OsStr, args: &[&str]| {
        let mut command = program(home.path());
        run(
            command
                .env_remove("XDG_DATA_HOME")
                .env_remove("HOME")
                .env(name, value)
                .args(args),
            b"",
        )
    };
    let not_text = std::ffi::OsStr::from_bytes(b"x\xff");
    let nowhere = std::ffi::OsStr::new("");
    without("CAXTON_URL", not_text, &["agent", "list"]).fails(2, &["CAXTON_URL is not UTF-8"]);
    without("CAXTON_TOKEN", not_text, &["agent", "list"]).fails(2, &["CAXTON_TOKEN is not UTF-8"]);
    without(
        "CAXTON_HTTP_LISTEN",
        not_text,
        &["config", "check", "--data", "/nowhere"],
    )
    .fails(2, &["CAXTON_HTTP_LISTEN", "is not UTF-8"]);
    without("HOME", nowhere, &["up"]).fails(2, &["HOME is not set", "--data"]);
    let mut relative = program(home.path());
    relative
        .env("XDG_DATA_HOME", "data")
        .args(["config", "check"]);
    run(&mut relative, b"").fails(0, &["note: XDG_DATA_HOME is the relative path `data`"]);
}

#[test]
fn damage_in_the_journal_is_found_and_refuses_the_start() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    node.caxton(&["agent", "deploy", &guest("counter-c"), "--name", "counter"])
        .ok();
    for _ in 0..5 {
        node.caxton(&["send", "counter", "{}", "--wait", "20s"])
            .ok();
    }
    node.kill();
    let segment = std::fs::read_dir(home.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.metadata().unwrap().len() > 10_000)
        .min()
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[400] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let data = home.path().display().to_string();
    caxton(&["journal", "verify", "--data", &data])
        .fails(1, &["damaged", "restore it from a copy"]);
    caxton(&["up", "--listen", "127.0.0.1:0", "--data", &data]).fails(1, &["damaged"]);
}

#[test]
fn a_directory_is_used_by_one_node_and_an_address_too() {
    let node = NodeProcess::start();
    let data = node.data.display().to_string();
    let holder = format!("process {}", node.pid());
    caxton(&["up", "--listen", "127.0.0.1:0", "--data", &data])
        .fails(1, &["is used by another node", &holder, "help: "]);
    // The first one does not mind.
    node.caxton(&["agent", "deploy", &guest("counter-c"), "--name", "counter"])
        .ok();
    node.caxton(&["send", "counter", "{}", "--wait", "20s"])
        .ok();
    let address = node.url.strip_prefix("http://").unwrap();
    let other = tempfile::tempdir().unwrap();
    caxton(&[
        "up",
        "--listen",
        address,
        "--data",
        &other.path().display().to_string(),
    ])
    .fails(1, &["listening on", "help: "]);
}

#[test]
fn the_demo_shows_four_languages_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let done = run(
        program(home.path())
            .env("TMPDIR", temporary.path())
            .args(["demo", "--exit"]),
        b"",
    )
    .ok();
    for word in [
        "Rust",
        "AssemblyScript",
        "Go",
        "HELLO WORLD",
        "failure: ",
        "memory",
        "http://127.0.0.1:",
    ] {
        assert!(
            done.stdout.contains(word),
            "`{word}` is not shown: {done:#?}"
        );
    }
    assert_eq!(done.stdout.matches("HELLO WORLD").count(), 4, "{done:#?}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    caxton(&["demo", "--exit", "--listen", "nowhere"]).fails(2, &["expected an address"]);
}

#[test]
fn a_node_may_begin_with_the_demos_agents_and_keeps_them() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let node = NodeProcess::start_in(home.path(), &["--demo"]);
        let listed = node
            .caxton(&["agent", "list", "--output", "json"])
            .ok()
            .json();
        let names: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|agent| agent["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(
            names.contains(&"gopher") && names.contains(&"ping"),
            "{names:?}"
        );
        assert_eq!(node.terminate(), 0);
    }
}
