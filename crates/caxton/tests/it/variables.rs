//! The environment of a node's configuration: an agent sees what it was granted by name, and no more.

use crate::{access::log_says, node::NodeProcess};

/// Logs its environment with each message.
const LOGS: &str = r#"(module
    (import "caxton" "console_log" (func $log (param i32 i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 1024) "seen: ")
    (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
    (func (export "caxton_free") (param i32 i32))
    (func (export "handle_message") (param i32 i32) (result i32)
      (drop (call $sizes (i32.const 0) (i32.const 4)))
      (drop (call $get (i32.const 8) (i32.const 1030)))
      (call $log (i32.const 1024) (i32.add (i32.const 6) (i32.load (i32.const 4))))
      (i32.const 0)))"#;

#[test]
fn an_agent_sees_the_variables_that_it_was_granted_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    std::fs::write(
        &config,
        "[environment]\nTZ = \"Europe/Vienna\"\nHIDDEN = \"x\"\n",
    )
    .unwrap();
    let module = folder.path().join("logs.wasm");
    std::fs::write(&module, wat::parse_str(LOGS).unwrap()).unwrap();
    let data = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(data.path(), &["--config", &config.display().to_string()]);
    let module = module.display().to_string();
    let deploy = ["agent", "deploy", &module, "--name", "fetch"];
    for (grants, seen) in [
        (&["--grant", "env:read=TZ"][..], "TZ=Europe/Vienna"),
        (&[], ""),
    ] {
        node.caxton(&[&deploy[..], grants].concat()).ok();
        node.caxton(&["send", "fetch", "1"]).ok();
        let log = log_says(&node, "seen: ");
        assert!(log.contains(&format!("seen: {seen}")), "{log}");
        assert_eq!(log.contains("TZ="), !seen.is_empty(), "{log}");
        assert!(!log.contains("HIDDEN="), "{log}");
        node.caxton(&["agent", "remove", "fetch"]).ok();
    }
}
