//! A guest that runs without a node: what limits bound in its host holds there too.

use crate::command::{Done, caxton};

const LOG: &str = r#"(import "caxton" "console_log" (func $log (param i32 i32)))"#;
const ASKS: &str = r#"
    (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
    (import "caxton" "set_timer" (func $timer (param i64) (result i32)))
    (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
    (import "caxton" "subscribe_messages" (func $subscribe (param i32 i32) (result i32)))"#;

/// A processor, or an extension, whose one function has this body and gives back nothing.
fn module(kind: &str, imports: &str, body: &str) -> String {
    let function = match kind {
        "processor" => {
            r#"(func (export "process") (param i32 i32 i32) (result i32) (local $n i32)
                (i32.store (local.get 2) (i32.const 0))"#
        }
        _ => {
            r#"(func (export "extension_describe") (param i32 i32) (result i32) (i32.const 0))
            (func (export "extension_call") (param i32 i32) (result i32) (local $n i32)"#
        }
    };
    let good = if kind == "processor" { 1024 } else { 0 };
    format!(
        r#"(module {imports}
          (memory (export "memory") 4)
          (data (i32.const 128) "{{}}")
          (data (i32.const 256) "a line")
          (func (export "allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "deallocate") (param i32 i32))
          {function} {body} (i32.const {good})))"#
    )
}

fn run(text: &str, engine: &str) -> Done {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guest.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let path = path.to_str().unwrap();
    let long = ["--limit", "cpu=30s", "--limit", "wall=60s"];
    let args = ["run", path, "--message", "{}", "--engine", engine];
    caxton(&[&args[..], &long[..], &["--output", "json"]].concat())
}

#[test]
fn log_lines_over_the_rate_are_dropped_and_said() {
    let body = "(loop $more (call $log (i32.const 256) (i32.const 6))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_s (local.get $n) (i32.const 2000))))";
    for (kind, engine) in [
        ("processor", "cranelift"),
        ("processor", "pulley"),
        ("extension", "cranelift"),
        ("extension", "pulley"),
    ] {
        let done = run(&module(kind, LOG, body), engine).ok();
        let kept = done.stderr.matches("a line").count();
        let dropped: usize = done
            .stderr
            .lines()
            .filter_map(|line| {
                let (before, after) = line.split_once(" log lines were dropped")?;
                assert!(after.contains("log_lines_per_second"), "{line}");
                before.split_whitespace().last()?.parse::<usize>().ok()
            })
            .sum();
        assert_eq!(kept + dropped, 2_000, "{kind} {engine}");
        assert!(dropped > 0, "{kind} {engine}: {kept} lines");
    }
}

#[test]
fn an_extension_has_no_mail_timers_or_state_where_no_node_calls_it() {
    // Each is answered -8: unavailable. Anything else traps.
    let refused = |call: &str| format!("(if (i32.ne ({call}) (i32.const -8)) (then unreachable))");
    let body = [
        refused("call $send (i32.const 128) (i32.const 2)"),
        refused("call $timer (i64.const 1000)"),
        refused("call $store (i32.const 256) (i32.const 4) (i32.const 0) (i32.const 4)"),
        refused("call $subscribe (i32.const 128) (i32.const 2)"),
    ]
    .concat();
    for engine in ["cranelift", "pulley"] {
        run(&module("extension", ASKS, &body), engine).ok();
    }
}
