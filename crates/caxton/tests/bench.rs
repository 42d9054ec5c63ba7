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
const ROWS: [(&str, &[&str]); 14] = [
    (
        "processor",
        &[
            "processor, smallest guest",
            "processor, Rust guest",
            "live instance: 64 B call",
        ],
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
            "agent request + reply, two idle shards, memory",
            "  the same, as a message there and back, memory",
            "agent request + reply, two idle shards, durable",
            "  the same, as a message there and back, durable",
        ],
    ),
    (
        "one-way",
        &[
            "messages one way, one shard, memory",
            "messages one way, all ",
            "messages one way, one shard, durable",
            "messages one way, all ",
        ],
    ),
    (
        "http",
        &[
            "HTTP request + durable reply",
            "  the time of each",
            "processor call over the API",
        ],
    ),
    ("compile", &["compile, C, 26 KB", "compile, Rust, "]),
    (
        "cached-start",
        &["cached start, Rust, ", "cached start, Rust, "],
    ),
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
        "kernels",
        &[
            "computing as an agent: sha256",
            "computing as an agent: fib",
            "computing as an agent: matmul",
        ],
    ),
    (
        "neighbours",
        &[
            "a good agent's answer, alone",
            "a good agent's answer beside 2 endless loops",
            "  until its turn ended, beside 2",
            "  from there to the client, beside 2",
            "GET /api/v1/agents/good beside 2",
            "GET /health/ready beside 2",
        ],
    ),
    (
        "ended",
        &[
            "endless loop ended, arithmetic",
            "endless loop ended, memory.fill of 50 MiB",
        ],
    ),
    (
        "memory",
        &[
            "memory of 200 live agents of the smallest guest",
            "  all of them asked once",
            "memory of 100 live agents in Rust",
            "  the same, as one idle component",
            "  all of them asked once",
            "memory of 100 passivated agents in Rust",
            "  all of them asked once",
            "memory of an agent that holds 32 MiB",
        ],
    ),
];

/// Rows without a bare part, which say so in its place.
const ALONE: [&str; 3] = [
    "  of it the host's share",
    "  all of them",
    "memory of 100 passivated",
];

/// Rows whose figure is what is over something, and may be nothing.
const OVER: [&str; 2] = ["  of it the host's share", "endless loop ended"];

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
            let begins = |with: &[&str]| {
                let what = row["what"].as_str().unwrap();
                with.iter().any(|begin| what.starts_with(begin))
            };
            if !begins(&OVER) {
                assert!(row["ours"].as_f64().unwrap() > 0.0, "{row}");
            }
            if !begins(&ALONE) && !begins(&OVER) {
                assert!(row["bare"].as_f64().unwrap() > 0.0, "{row}");
                assert!(row["ratio"].as_f64().unwrap() > 0.0, "{row}");
            }
            let (target, met) = (&row["target"], &row["met"]);
            assert!(target.is_string() || met.is_null(), "{row}");
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
    assert_eq!(lines.len(), 6, "{printed}");
    assert!(
        lines[1..].iter().all(|line| line.contains('×')),
        "{printed}"
    );
    // The processors' rows have a target, and each says whether it is met.
    assert!(
        lines[1..4]
            .iter()
            .all(|line| line.contains("  met  ") || line.contains("  missed  ")),
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
