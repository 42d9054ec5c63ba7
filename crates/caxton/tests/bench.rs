//! `caxton bench` as people call it. What it measures decides nothing here, only that it does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says by panicking what went wrong"
)]

use std::process::Command;

use serde_json::Value;

/// What each name measures, by how its rows begin.
const ROWS: [(&str, &[&str]); 10] = [
    (
        "processor",
        &["processor, smallest guest", "processor, Rust guest"],
    ),
    ("turn", &["agent turn, memory", "  of it the host's share"]),
    (
        "round-trip",
        &[
            "agent request + reply, one shard, memory",
            "agent request + reply, one shard, durable",
        ],
    ),
    (
        "across-shards",
        &[
            "agent request + reply, two busy shards, memory",
            "agent request + reply, two busy shards, durable",
        ],
    ),
    (
        "one-way",
        &[
            "messages one way, one shard, memory",
            "messages one way, one shard, durable",
        ],
    ),
    (
        "http",
        &["HTTP request + durable reply", "  the time of each"],
    ),
    ("cached-start", &["compile, Rust", "cached start, Rust"]),
    (
        "journal",
        &[
            "durable append, one record",
            "durable append, records a second",
        ],
    ),
    (
        "node-start",
        &["node, empty", "node with 1000 durable agents"],
    ),
    (
        "neighbours",
        &[
            "a good agent's answer, alone",
            "a good agent's answer beside 2 endless loops",
            "a good agent's answer beside 20 endless loops",
        ],
    ),
];

fn bench(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_caxton"))
        .args(["bench", "--quick", "--dir"])
        .arg(dir.path())
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{arguments:?}: {said}");
    assert_eq!(
        dir.path().read_dir().unwrap().count(),
        0,
        "it leaves nothing behind"
    );
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn every_measure_gives_its_rows_each_beside_its_bare_part() {
    for (name, begins) in ROWS {
        let printed = bench(&["--only", name, "--output", "json"]);
        let rows: Vec<Value> = serde_json::from_str(&printed).unwrap();
        let whats: Vec<&str> = rows
            .iter()
            .map(|row| row["what"].as_str().unwrap())
            .collect();
        let fits = whats
            .iter()
            .zip(begins)
            .all(|(what, begin)| what.starts_with(begin));
        assert!(fits && whats.len() == begins.len(), "{name}: {whats:?}");
        for row in &rows {
            assert!(row["samples"].as_u64().unwrap() > 0, "{row}");
            assert!(!row["bare_part"].as_str().unwrap().is_empty(), "{row}");
            if !row["what"].as_str().unwrap().starts_with("  of it") {
                assert!(row["ours"].as_f64().unwrap() > 0.0, "{row}");
                assert!(row["bare"].as_f64().unwrap() > 0.0, "{row}");
                assert!(row["ratio"].as_f64().unwrap() > 0.0, "{row}");
            }
        }
    }
}

#[test]
fn the_table_has_a_line_for_each_row() {
    let printed = bench(&["--only", "processor", "--only", "journal"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("WHAT") && lines[0].ends_with("BARE PART"),
        "{printed}"
    );
    assert_eq!(lines.len(), 5, "{printed}");
    assert!(
        lines[1..].iter().all(|line| line.contains('×')),
        "{printed}"
    );
}

#[test]
fn an_unknown_measure_is_refused_with_those_there_are() {
    let done = Command::new(env!("CARGO_BIN_EXE_caxton"))
        .args(["bench", "--only", "everything"])
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        said.contains("processor") && said.contains("neighbours"),
        "{said}"
    );
}
