//! `caxton doctor` on nodes that are as they should be; `tests/planted.rs` has those that are not.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::{
    command::{caxton, program, run},
    node::NodeProcess,
};

/// Limits that are attacked in the program itself, because no API calls a processor.
const NOT_ON_THE_NODE: [&str; 2] = ["payload_bytes", "concurrent_calls"];

/// Limits that need a directory of the operator's, which no client of the API can map.
const OF_FILES: [&str; 3] = ["file_bytes", "fs_bytes", "fs_entries"];

fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().unwrap()
}

fn every_limit_holds(node: &NodeProcess, engine: &str, not_attacked: &[&str]) -> Value {
    let report = node.caxton(&["doctor", "--output", "json"]).ok().json();
    assert_eq!(report["held"], true, "{report:#}");
    assert_eq!(report["version"]["engine"], engine);
    for limit in caxton_model::LimitName::ALL {
        let row = rows(&report)
            .iter()
            .find(|row| row["check"] == limit.as_str())
            .unwrap_or_else(|| panic!("`{limit}` has no row: {report:#}"));
        if not_attacked.contains(&limit.as_str()) {
            let reached = row["reached"].as_str().unwrap();
            assert!(
                row["held"].is_null() && reached.starts_with("not attacked"),
                "{row:#}"
            );
            continue;
        }
        assert_eq!(row["held"], true, "{row:#}");
        assert!(row["set_to"].is_string(), "{row:#}");
        let here = row["reached"].as_str().unwrap().contains("in this program");
        assert_eq!(here, NOT_ON_THE_NODE.contains(&limit.as_str()), "{row:#}");
        assert!(row["neighbour"]["p99_micros"].is_u64(), "{row:#}");
    }
    report
}

/// Nothing of a run is on the node.
fn is_clean(node: &NodeProcess) {
    let agents = node.caxton(&["agent", "list"]).ok();
    assert!(agents.stdout.contains("no agents"), "{agents:#?}");
    let letters = node.caxton(&["dead-letters", "list"]).ok();
    assert!(letters.stdout.contains("no dead letters"), "{letters:#?}");
}

#[test]
fn every_limit_of_a_node_holds_and_nothing_of_the_attacks_stays() {
    let home = tempfile::tempdir().unwrap();
    let written = tempfile::tempdir().unwrap();
    let settings = format!("[directories]\n\"/data/doctor\" = {:?}\n", written.path());
    std::fs::write(home.path().join("node.toml"), settings).unwrap();
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("vault.key");
    let node = NodeProcess::start_in(home.path(), &["--vault-key", key.to_str().unwrap()]);
    let report = every_limit_holds(&node, "cranelift", &[]);
    for (check, word) in [
        (
            "namespaces",
            "by name 0 sent, code -3; by id 0 sent, code -1",
        ),
        (
            "http:read",
            "code -3 without a grant, 0 with it, -3 once it was revoked",
        ),
        (
            "http:write",
            "code -3 without a grant, 0 with it, -3 once it was revoked",
        ),
        // No such file, which only whoever may look learns.
        (
            "fs:read",
            "code 2 without a grant, 44 with it, 2 once it was revoked",
        ),
        (
            "fs:write",
            "code 2 without a grant, 44 with it, 2 once it was revoked",
        ),
        (
            "vault:read",
            "code -3 without a grant, -1 with it, -3 once it was revoked",
        ),
        (
            "vault:write",
            "code -3 without a grant, -2 with it, -3 once it was revoked",
        ),
        (
            "event:emit",
            "code -3 without a grant, 0 with it, -3 once it was revoked",
        ),
        (
            "event:listen",
            "code -3 without a grant, 1 with it, -3 once it was revoked",
        ),
        (
            "data:read",
            "code -3 without a grant, -1 with it, -3 once it was revoked",
        ),
        (
            "data:write",
            "code -3 without a grant, -1 with it, -3 once it was revoked",
        ),
        ("other rights", "net:tcp"),
        ("durability", "durable up to place"),
        ("journal", "no damage"),
        ("compiler", "process of its own"),
        ("neighbour", "answered"),
    ] {
        let row = rows(&report).iter().find(|row| row["check"] == check);
        let reached = row.unwrap()["reached"].as_str().unwrap();
        assert!(reached.contains(word), "{check}: {reached}");
    }
    is_clean(&node);
    let left = std::fs::read_dir(written.path()).unwrap().count();
    assert_eq!(left, 0, "files of guests");
    assert_eq!(node.terminate(), 0);
}

#[test]
fn every_limit_holds_on_the_interpreter_too() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &["--engine", "pulley"]);
    every_limit_holds(&node, "pulley", &OF_FILES);
    is_clean(&node);
}

#[test]
fn a_node_that_compiles_by_itself_is_told_so() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(
        home.path().join("node.toml"),
        "[engine]\ncompile_worker = false\n",
    )
    .unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    let shown = node.caxton(&["doctor"]).ok().stdout;
    assert!(shown.contains("in the node's own process"), "{shown}");
    assert!(shown.starts_with("CHECK"), "{shown}");
}

#[test]
fn an_interrupted_run_takes_away_what_it_deployed() {
    let node = NodeProcess::start();
    let mut child = program(&node.data)
        .args(["doctor", "--data"])
        .arg(&node.data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has begun when the node knows one of its agents.
    let mut listed = String::new();
    for _ in 0..500 {
        listed = node.caxton(&["agent", "list"]).ok().stdout;
        if listed.contains("doctor/") {
            break;
        }
    }
    assert!(listed.contains("doctor/"), "{listed}");
    let pid = child.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(told.unwrap().success());
    let mut said = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    while stderr.read_line(&mut said).unwrap() > 0 {}
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    is_clean(&node);
}

#[test]
fn a_token_that_ends_at_a_namespace_is_enough() {
    let node = NodeProcess::start();
    let token = [
        "token",
        "create",
        "team",
        "--scope",
        "read",
        "--scope",
        "send",
        "--scope",
        "operate",
        "--namespace",
        "team",
        "--output",
        "json",
    ];
    let made = node.caxton(&token).ok().json();
    let home = tempfile::tempdir().unwrap();
    let mut command = program(home.path());
    command
        .env("CAXTON_TOKEN", made["token"].as_str().unwrap())
        .env("CAXTON_URL", &node.url)
        .args(["doctor", "--output", "json"]);
    let report = run(&mut command, b"").ok().json();
    assert_eq!(report["held"], true, "{report:#}");
    let row = rows(&report)
        .iter()
        .find(|row| row["check"] == "http_per_minute");
    let reached = row.unwrap()["reached"].as_str().unwrap();
    assert!(reached.contains("scope `admin`"), "{reached}");
    is_clean(&node);
}

#[test]
fn without_a_node_it_says_how_to_get_one() {
    caxton(&["doctor", "--url", "http://127.0.0.1:9"]).fails(1, &["caxton up", "--own"]);
    caxton(&["doctor", "--own", "--engine", "steam"]).fails(2, &["steam"]);
}
