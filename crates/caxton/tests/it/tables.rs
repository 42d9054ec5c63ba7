//! Shared tables of a node: only what was granted, within the namespace, and there after a kill.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{access::log_says, node::NodeProcess};

fn module(folder: &Path) -> PathBuf {
    let file = folder.join("fetch.wasm");
    std::fs::write(&file, wat::parse_str(include_str!("tables.wat")).unwrap()).unwrap();
    file
}

/// Deploys the guest without a manifest.
fn deploy(node: &NodeProcess, name: &str, grants: &[&str]) {
    let module = module(&node.data).display().to_string();
    let mut args = vec!["agent", "deploy", &module, "--name", name];
    for grant in grants {
        args.extend(["--grant", grant]);
    }
    node.caxton(&args).ok();
}

const ALL: [&str; 2] = ["data:read=*", "data:write=*"];

/// What came of some acts of an agent, in their order.
fn does(node: &NodeProcess, agent: &str, acts: &str) -> Value {
    let args = ["send", agent, acts, "--sender", "ann", "--wait", "60s"];
    let answer = node.caxton(&[&args[..], &["--output", "json"]].concat());
    answer.json()["reply"]["content"].clone()
}

fn says(node: &NodeProcess, agent: &str, acts: &str) -> String {
    does(node, agent, acts).to_string()
}

const PUT: &str = r#"[["p",{"table":"tasks","key":"k"},{"v":1}]]"#;
const GET: &str = r#"[["g",{"table":"tasks","key":"k"}]]"#;

#[test]
fn a_table_is_reached_by_what_its_agent_asks_for_and_is_granted_and_no_longer() {
    let node = NodeProcess::start();
    let folder = tempfile::tempdir().unwrap();
    module(folder.path());
    let manifest = |rows: &str| {
        let text = format!(
            "[package]\nname = \"fetch\"\nversion = \"1.0.0\"\nkind = \"agent\"\n\
             module = \"fetch.wasm\"\n[permissions]\n{rows}\n"
        );
        let file = folder.path().join("caxton.toml");
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let none = manifest("");
    node.caxton(&["agent", "deploy", &none])
        .fails(4, &["does not ask for `data:read`"]);
    let rows = "\"data:read\" = { tables = [\"ta*\"], reason = \"reads tasks\" }\n\
                \"data:write\" = { tables = [\"tasks\"], reason = \"does tasks\" }";
    let file = manifest(rows);
    let said = node.caxton(&["agent", "deploy", &file]).ok().stderr;
    assert!(
        said.contains("caxton grant fetch 'data:write=tasks'"),
        "{said}"
    );
    assert_eq!(says(&node, "fetch", PUT), "[-3]");
    log_says(&node, "caxton grant fetch 'data:write=tasks'");
    assert_eq!(says(&node, "fetch", GET), "[-3]");
    log_says(&node, "caxton grant fetch 'data:read=tasks'");
    node.caxton(&["grant", "fetch", "data:write=tasks", "data:read=tasks"])
        .ok();
    assert_eq!(says(&node, "fetch", PUT), "[0]");
    assert_eq!(says(&node, "fetch", GET), r#"[{"v":1}]"#);
    // Granted, and not asked for: another table.
    let other = r#"[["g",{"table":"other","key":"k"}],["l",{"table":"tasks2"}]]"#;
    node.caxton(&["grant", "fetch", "data:read=*"]).ok();
    assert_eq!(
        says(&node, "fetch", other),
        r#"[-3,{"rows":[],"next":null}]"#
    );
    node.caxton(&["revoke", "fetch", "data:write=tasks"]).ok();
    assert_eq!(says(&node, "fetch", PUT), "[-3]");
    assert_eq!(says(&node, "fetch", GET), r#"[{"v":1}]"#);
    // The audit has the table and how many keys, and neither which nor their values.
    let audit = node
        .caxton(&[
            "audit",
            "search",
            "--action",
            "gate-decision",
            "--output",
            "json",
        ])
        .ok()
        .stdout;
    assert!(audit.contains("table tasks, 1 key"), "{audit}");
    assert!(audit.contains("table tasks2, 1000 keys"), "{audit}");
    assert!(!audit.contains("\"v\""), "{audit}");
}

#[test]
fn rows_are_there_after_a_kill_and_not_in_another_namespace() {
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(home.path(), &[]);
    for name in ["a", "acme/a"] {
        deploy(&node, name, &ALL);
    }
    assert_eq!(says(&node, "a", PUT), "[0]");
    assert_eq!(says(&node, "acme/a", GET), "[-1]");
    let faults = r#"[["p",{"table":"tasks","key":"k"},2],["t"]]"#;
    let failed = says(&node, "a", faults);
    assert!(failed.contains("trap"), "{failed}");
    node.kill();
    let node = NodeProcess::start_in(home.path(), &[]);
    assert_eq!(says(&node, "a", GET), r#"[{"v":1}]"#);
    assert_eq!(says(&node, "acme/a", GET), "[-1]");
    // And from a checkpoint, where the next start finds them.
    assert_eq!(node.terminate(), 0);
    let node = NodeProcess::start_in(home.path(), &[]);
    assert_eq!(says(&node, "a", GET), r#"[{"v":1}]"#);
    assert_eq!(node.terminate(), 0);
}

#[test]
fn a_table_of_2_500_rows_is_listed_page_by_page() {
    let node = NodeProcess::start();
    deploy(&node, "a", &ALL);
    for part in 0..5 {
        let rows: Vec<String> = (0..500)
            .map(|i| part * 500 + i)
            .map(|i| format!(r#"["p",{{"table":"many","key":"k{i:04}"}},{i}]"#))
            .collect();
        let done = does(&node, "a", &format!("[{}]", rows.join(",")));
        assert_eq!(done.as_array().map(Vec::len), Some(500));
        assert!(done.as_array().unwrap().iter().all(|code| code == 0));
    }
    let (mut after, mut seen, mut pages) = (Value::Null, 0, 0);
    loop {
        let acts = format!(r#"[["l",{{"table":"many","prefix":"k","after":{after}}}]]"#);
        let page = does(&node, "a", &acts)[0].clone();
        for row in page["rows"].as_array().unwrap() {
            assert_eq!(row["value"], seen, "{row}");
            seen += 1;
        }
        pages += 1;
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!((seen, pages), (2_500, 3));
    let few = r#"[["l",{"table":"many","prefix":"k24","limit":2}],["l",{"table":"many","prefix":"k2499"}]]"#;
    assert_eq!(
        says(&node, "a", few),
        r#"[{"rows":[{"key":"k2400","value":2400},{"key":"k2401","value":2401}],"next":"k2401"},{"rows":[{"key":"k2499","value":2499}],"next":null}]"#
    );
}

#[test]
fn a_namespace_has_no_more_than_its_bytes_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    std::fs::write(&config, "[budgets]\ndata_bytes = \"100KiB\"\n").unwrap();
    let data = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(data.path(), &["--config", &config.display().to_string()]);
    for name in ["fetch", "acme/fetch"] {
        deploy(&node, name, &ALL);
    }
    let value = format!("\"{}\"", "x".repeat(60_000));
    let put = |key: &str| format!(r#"[["p",{{"table":"t","key":"{key}"}},{value}]]"#);
    assert_eq!(says(&node, "fetch", &put("a")), "[0]");
    assert_eq!(says(&node, "fetch", &put("b")), "[-7]");
    log_says(&node, "more than 100 KiB of rows");
    assert_eq!(says(&node, "acme/fetch", &put("b")), "[0]");
    let long = format!(
        r#"[["p",{{"table":"t","key":"a"}},"{}"]]"#,
        "x".repeat(65_600)
    );
    assert_eq!(says(&node, "fetch", &long), "[-4]");
    assert_eq!(
        says(&node, "fetch", r#"[["d",{"table":"t","key":"a"}]]"#),
        "[0]"
    );
    assert_eq!(says(&node, "fetch", &put("b")), "[0]");
}
