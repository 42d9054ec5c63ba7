//! `caxton doctor` finds each limit that is taken out of a node: exactly that row is red.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says by panicking what went wrong"
)]

use std::process::Command;

use caxton_model::LimitName;
use serde_json::Value;

/// A node and its examination, by the program that plants what it is told.
fn examined(planted: &str) -> (Option<i32>, Value) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_caxton-planted"))
        .env_clear()
        .env("HOME", home.path())
        .env("CAXTON_PLANTED", planted)
        .args(["doctor", "--own", "--output", "json"])
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{planted}: {error}: {output:?}"));
    (output.status.code(), report)
}

fn red(report: &Value) -> Vec<&str> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["held"] == false)
        .map(|row| row["check"].as_str().unwrap())
        .collect()
}

#[test]
fn a_limit_taken_out_turns_exactly_its_row_red() {
    let (code, report) = examined("");
    assert_eq!((code, red(&report)), (Some(0), vec![]), "{report:#}");
    let mut wrong = Vec::new();
    for limit in LimitName::ALL {
        let row = report["rows"].as_array().unwrap().iter();
        let mut row = row.filter(|row| row["check"] == limit.as_str());
        assert_eq!(row.next().unwrap()["held"], true, "{limit}");
    }
    for limit in LimitName::ALL {
        let (code, report) = examined(&format!("without:{limit}"));
        println!("without {limit}: red {:?}", red(&report));
        if (code, red(&report)) != (Some(1), vec![limit.as_str()]) {
            wrong.push(format!(
                "{limit}: exit code {code:?}, red {:?}",
                red(&report)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_a_limit_can_be_planted() {
    for planted in ["memory", "without:memmory"] {
        let output = Command::new(env!("CARGO_BIN_EXE_caxton-planted"))
            .env("CAXTON_PLANTED", planted)
            .arg("--version")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
