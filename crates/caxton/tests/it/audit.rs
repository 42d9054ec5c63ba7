//! The audit log from a guest's request to the check of the log by somebody who keeps a signed head.

use std::fs;

use serde_json::Value;

use crate::{
    access::{Outside, ask, deploy, log_says, replies},
    command::{program, run},
    node::NodeProcess,
};

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How many of the records have these fields.
fn count(records: &[Value], fields: &[(&str, &str)]) -> usize {
    let is = |record: &&Value| fields.iter().all(|(name, value)| record[*name] == *value);
    records.iter().filter(is).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_asked_is_in_the_log_and_a_changed_byte_is_found_at_its_record() {
    let home = tempfile::tempdir().unwrap();
    let outside = Outside::start();
    let node = NodeProcess::start_in(home.path(), &[]);
    let rule = format!("http:read={}/**", outside.address);
    deploy(&node, &outside, &[&rule]);
    ask(&node);
    outside.next().1.send(()).unwrap();
    replies(&node, 1);
    node.caxton(&["revoke", "fetch", &rule]).ok();
    ask(&node);
    log_says(&node, "was refused");

    let said = node.caxton(&["audit", "tail", "--lines", "100", "--output", "json"]);
    let records = lines(&said.ok().stdout);
    let target = format!("GET http://{}/things", outside.address);
    let decision = |outcome| {
        let fields = [
            ("action", "gate-decision"),
            ("outcome", outcome),
            ("target", &*target),
            ("permission", "http:read"),
            ("namespace", "main"),
        ];
        count(&records, &fields)
    };
    assert!(decision("allowed") > 0, "{records:#?}");
    assert_eq!(decision("denied"), 1, "{records:#?}");
    let sent = [
        ("action", "outbound-request"),
        ("outcome", "succeeded"),
        ("target", &target),
    ];
    assert_eq!(count(&records, &sent), 1, "{records:#?}");
    let sent = records
        .iter()
        .find(|record| record["action"] == "outbound-request")
        .unwrap();
    assert_eq!(sent["details"]["status"], "200", "{sent}");
    assert_eq!(
        sent["details"]["host"],
        outside.address.to_string(),
        "{sent}"
    );
    for action in ["deploy", "grant", "revocation"] {
        for outcome in ["requested", "succeeded"] {
            let fields = [
                ("action", action),
                ("outcome", outcome),
                ("target", "fetch"),
            ];
            assert_eq!(
                count(&records, &fields),
                1,
                "{action} {outcome}: {records:#?}"
            );
        }
    }
    assert!(
        !format!("{records:?}").contains("hidden"),
        "a query is in the audit log"
    );
    let tail = node.caxton(&["audit", "tail"]).ok().stdout;
    assert!(tail.contains("gate-decision denied"), "{tail}");
    let denied = ["audit", "search", "--outcome", "denied", "--output", "json"];
    assert_eq!(lines(&node.caxton(&denied).ok().stdout).len(), 1);

    let metrics = node.client().metrics().await.unwrap();
    let appended = metrics
        .lines()
        .find_map(|line| line.strip_prefix("caxton_audit_records_total "))
        .unwrap();
    assert_eq!(
        appended,
        records.len().to_string(),
        "every record is counted"
    );

    let checked = node.caxton(&["audit", "verify"]).ok().stdout;
    assert!(checked.contains("good"), "{checked}");
    let head = home.path().join("../head-of-audit");
    let head = head.to_str().unwrap();
    node.caxton(&["audit", "head", "--write", head]).ok();
    node.caxton(&["audit", "verify", "--head", head]).ok();
    assert_eq!(node.terminate(), 0);

    let offline = |args: &[&str]| {
        let mut command = program(home.path());
        run(command.args(args).arg("--data").arg(home.path()), b"")
    };
    let exported = lines(&offline(&["audit", "export"]).ok().stdout);
    // The end of the node has a record too.
    assert_eq!(exported[..records.len()], records);
    assert_eq!(exported.len(), records.len() + 1);
    offline(&["audit", "verify", "--head", head]).ok();

    let place = records
        .iter()
        .find(|record| record["outcome"] == "denied")
        .map(|record| record["place"].as_u64().unwrap())
        .unwrap();
    let segment = home.path().join("audit/0000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    // Of this target the denied decision is the last.
    let at = bytes
        .windows(target.len())
        .rposition(|window| window == target.as_bytes());
    bytes[at.unwrap()] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let damaged = format!("place {place}");
    offline(&["audit", "verify"]).fails(1, &["the audit log is damaged", &damaged]);
    fs::remove_file(head).unwrap();
}
