//! Files of agents: what an operator mapped and granted, and what a revocation does to an open one.

use std::path::Path;

use caxton_node::Directory;

use super::*;

/// Opens `note` once, and writes a byte at each message; says whether it could.
const WRITER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $fd (mut i32) (i32.const 0))
  (data (i32.const 16) "note")
  (data (i32.const 32) "\10\00\00\00\01\00\00\00")
  (data (i32.const 100) "{\"performative\":\"inform\",\"receiver\":\"tester\",\"in_reply_to\":\"q1\",\"content\":\"yes\"}")
  (data (i32.const 300) "{\"performative\":\"inform\",\"receiver\":\"tester\",\"in_reply_to\":\"q1\",\"content\":\"no!\"}")
  (func (export "allocate") (param i32) (result i32) (i32.const 65536))
  (func (export "deallocate") (param i32 i32))
  (func (export "handle_message") (param i32 i32) (result i32)
    (if (i32.eqz (global.get $fd)) (then
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 1) (i32.const 8))
        (then (return (call $send (i32.const 300) (i32.const 80)))))
      (global.set $fd (i32.load (i32.const 8)))))
    (if (call $write (global.get $fd) (i32.const 32) (i32.const 1) (i32.const 40))
      (then (return (call $send (i32.const 300) (i32.const 80)))))
    (call $send (i32.const 100) (i32.const 80))))"#;

const RULE: &str = "fs:write=/data/out/**";

async fn node_with(directory: &Path) -> Node {
    let directory = Directory::open("/data/out", directory).expect("it is there");
    Node::start(NodeOptions {
        shards: 2,
        directories: [directory].into(),
        ..NodeOptions::default()
    })
    .await
    .expect("the node starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_writes_where_it_was_granted_until_that_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let node = node_with(dir.path()).await;
    let note = || std::fs::read_to_string(dir.path().join("note")).unwrap_or_default();
    let mut writer = agent("writer", WRITER);
    writer.granted = Arc::new(vec![granted(RULE)]);
    node.deploy(writer).await.unwrap();
    node.deploy(agent("other", WRITER)).await.unwrap();
    for written in ["n", "nn"] {
        let said = content(&ask(&node, "writer", "1").await.unwrap());
        assert_eq!((&*said, &*note()), (r#""yes""#, written));
    }
    // Without a grant nothing is there.
    let said = content(&ask(&node, "other", "1").await.unwrap());
    assert_eq!((&*said, &*note()), (r#""no!""#, "nn"));
    node.change_grants("writer", vec![], vec![RULE.to_owned()])
        .await
        .unwrap();
    // What was open ends the turn, and the next instance finds nothing.
    let failed = content(&ask(&node, "writer", "1").await.unwrap());
    assert!(failed.contains("denied"), "{failed}");
    let said = content(&ask(&node, "writer", "1").await.unwrap());
    assert_eq!((&*said, &*note()), (r#""no!""#, "nn"));
    node.shutdown(PATIENCE).await;
}
