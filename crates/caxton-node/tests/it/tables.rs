//! Shared tables: which rows a turn sees, and whose.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Does with shared tables what its message says.
fn tables(name: &str) -> Deploy {
    let wat = include_str!("../../../caxton/tests/it/tables.wat");
    Deploy {
        granted: Arc::new(vec![granted("data:read=*"), granted("data:write=*")]),
        ..agent(name, wat)
    }
}

/// What came of some acts of an agent, in their order.
async fn does(node: &Node, agent: &str, acts: &str) -> String {
    // Several wait at the same time.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let json = format!(
        r#"{{"performative":"request","receiver":"{agent}","content":{acts},"reply_with":"q{number}"}}"#
    );
    let post = Post {
        client: "ann".into(),
        namespace: None,
        message_id: None,
        fields: Fields::parse(json.as_bytes(), 1 << 20).expect("a message"),
    };
    let posted = node.post(post, Some(PATIENCE)).await.expect("it is taken");
    content(&posted).to_string()
}

const K: &str = r#"{"table":"tasks","key":"k"}"#;

async fn deploy(node: &Node, names: &[&str]) {
    for name in names {
        node.deploy(tables(name)).await.expect("it is deployed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_sees_its_own_rows_first_and_the_others_see_them_when_it_has_ended() {
    let node = node().await;
    // On both shards.
    let names = ["a", "b", "c", "d", "e", "f"];
    deploy(&node, &names).await;
    let acts = format!(
        r#"[["g",{K}],["p",{K},{{"v":1}}],["g",{K}],["d",{K}],["g",{K}],["d",{K}],["p",{K},2],["l",{{"table":"tasks"}}]]"#
    );
    assert_eq!(
        does(&node, "a", &acts).await,
        r#"[-1,0,{"v":1},0,-1,-1,0,{"rows":[{"key":"k","value":2}],"next":null}]"#
    );
    for name in names {
        let seen = does(&node, name, &format!(r#"[["g",{K}],["p",{K},"{name}"]]"#)).await;
        let before = match name {
            "a" => "2".to_owned(),
            other => format!("\"{}\"", (other.as_bytes()[0] - 1) as char),
        };
        assert_eq!(seen, format!("[{before},0]"));
    }
    node.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_takes_back_the_rows_that_its_turn_wrote_and_deleted() {
    let node = node().await;
    deploy(&node, &["a", "b"]).await;
    let other = r#"{"table":"tasks","key":"l"}"#;
    assert_eq!(does(&node, "a", &format!(r#"[["p",{K},1]]"#)).await, "[0]");
    let acts = format!(r#"[["p",{K},2],["p",{other},3],["t"]]"#);
    let said = does(&node, "a", &acts).await;
    assert!(said.contains("\"code\":\"trap\""), "{said}");
    does(&node, "a", &format!(r#"[["d",{K}],["t"]]"#)).await;
    let seen = does(&node, "b", &format!(r#"[["g",{K}],["g",{other}]]"#)).await;
    assert_eq!(seen, "[1,-1]");
    node.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_of_a_row_finds_it_and_the_last_writer_is_the_one_that_is_recovered() {
    let home = tempfile::tempdir().expect("a directory");
    let node = node_at(home.path()).await;
    // On both shards.
    let names = ["a", "b", "c", "d", "e"];
    deploy(&node, &names).await;
    // Each notes what it reads, writes the row, and tells the next of it.
    let row = r#"{"table":"t","key":"k"}"#;
    let notes = |hop: usize| format!(r#"["g",{row}],["k",{{"table":"t","key":"n{hop:02}"}}]"#);
    let mut acts = format!(r#"[["q",{{}}],{}]"#, notes(HOPS));
    for hop in (0..HOPS).rev() {
        let to = names[(hop + 1) % names.len()];
        let told = format!(r#"{{"performative":"inform","receiver":"{to}","content":{acts}}}"#);
        acts = format!(
            r#"[["q",{{}}],{},["p",{row},{hop}],["m",{told}]]"#,
            notes(hop)
        );
    }
    let begin = format!(
        r#"[["p",{row},99],["m",{{"performative":"inform","receiver":"a","content":{acts}}}]]"#
    );
    assert_eq!(does(&node, "e", &begin).await, "[0,0]");
    let all = r#"[["l",{"table":"t","prefix":"n"}]]"#;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let notes = loop {
        let notes = does(&node, "a", all).await;
        if notes.matches("key").count() > HOPS {
            break notes;
        }
        assert!(tokio::time::Instant::now() < deadline, "{notes}");
    };
    let mut read: Vec<usize> = vec![99];
    read.extend(0..HOPS);
    let rows = read.iter().enumerate();
    let rows = rows.map(|(hop, value)| format!(r#"{{"key":"n{hop:02}","value":{value}}}"#));
    let rows: Vec<String> = rows.collect();
    assert_eq!(
        notes,
        format!(r#"[{{"rows":[{}],"next":null}}]"#, rows.join(","))
    );
    node.shutdown(PATIENCE).await;
    let node = node_at(home.path()).await;
    assert_eq!(does(&node, "b", all).await, notes);
    node.shutdown(PATIENCE).await;
}

/// Messages within messages: each takes three of the levels that JSON may have.
const HOPS: usize = 17;

#[tokio::test(flavor = "multi_thread")]
async fn writers_on_two_shards_leave_what_recovery_finds() {
    let home = tempfile::tempdir().expect("a directory");
    let node = node_at(home.path()).await;
    let names = ["a", "b", "c", "d", "e", "f"];
    deploy(&node, &names).await;
    let mut writes = tokio::task::JoinSet::new();
    for name in names {
        let node = node.clone();
        writes.spawn(async move {
            for round in 0..50 {
                let acts: Vec<String> = (0..5)
                    .map(|key| format!(r#"["p",{{"table":"t","key":"{key}"}},"{name}{round}"]"#))
                    .collect();
                does(&node, name, &format!("[{}]", acts.join(","))).await;
            }
        });
    }
    while let Some(done) = writes.join_next().await {
        done.expect("it ends");
    }
    let all = r#"[["l",{"table":"t"}]]"#;
    let before = does(&node, "a", all).await;
    assert_eq!(before.matches("49\"").count(), 5, "{before}");
    node.shutdown(PATIENCE).await;
    let node = node_at(home.path()).await;
    assert_eq!(does(&node, "a", all).await, before);
    node.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_agent_that_keeps_nothing_stay_and_those_of_another_namespace_are_not_there() {
    let home = tempfile::tempdir().expect("a directory");
    let node = node_at(home.path()).await;
    let memory = Deploy {
        durability: Durability::Memory,
        ..tables("m")
    };
    node.deploy(memory).await.expect("it is deployed");
    deploy(&node, &["a", "acme/a"]).await;
    assert_eq!(does(&node, "m", &format!(r#"[["p",{K},1]]"#)).await, "[0]");
    assert_eq!(does(&node, "a", &format!(r#"[["g",{K}]]"#)).await, "[1]");
    let acts = format!(r#"[["g",{K}],["d",{K}],["l",{{"table":"tasks"}}],["p",{K},2]]"#);
    assert_eq!(
        does(&node, "acme/a", &acts).await,
        r#"[-1,-1,{"rows":[],"next":null},0]"#
    );
    node.shutdown(PATIENCE).await;
    let node = node_at(home.path()).await;
    let read = format!(r#"[["g",{K}]]"#);
    assert_eq!(does(&node, "a", &read).await, "[1]");
    assert_eq!(does(&node, "acme/a", &read).await, "[2]");
    node.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_has_no_more_rows_than_its_bytes_and_turns_that_run_together_do_not_help() {
    let node = Node::start(NodeOptions {
        shards: 2,
        data_bytes_max: 10_000,
        ..NodeOptions::default()
    })
    .await
    .expect("the node starts");
    deploy(&node, &["a", "b", "acme/a"]).await;
    let value = format!("\"{}\"", "x".repeat(4_000));
    let put = |key: &str| format!(r#"["p",{{"table":"t","key":"{key}"}},{value}]"#);
    let delete = r#"["d",{"table":"t","key":"1"}]"#;
    let acts = format!("[{},{},{}]", put("1"), put("2"), put("3"));
    assert_eq!(does(&node, "a", &acts).await, "[0,0,-7]");
    // What a turn deletes is free when it has ended.
    let acts = format!("[{delete},{},{}]", put("3"), put("2"));
    assert_eq!(does(&node, "b", &acts).await, "[0,-7,0]");
    let acts = format!("[{},{}]", put("3"), put("4"));
    assert_eq!(does(&node, "b", &acts).await, "[0,-7]");
    assert_eq!(
        does(&node, "acme/a", &format!("[{}]", put("1"))).await,
        "[0]"
    );
    // A fault gives back what its turn had taken.
    does(&node, "a", &format!("[{delete},[\"t\"]]")).await;
    let acts = r#"[["d",{"table":"t","key":"2"}],["d",{"table":"t","key":"3"}]]"#;
    assert_eq!(does(&node, "a", acts).await, "[0,0]");
    let fault = format!("[{},{},[\"t\"]]", put("1"), put("2"));
    does(&node, "b", &fault).await;
    let acts = format!("[{},{},{}]", put("1"), put("2"), put("3"));
    assert_eq!(does(&node, "a", &acts).await, "[0,0,-7]");
    node.shutdown(PATIENCE).await;
}
