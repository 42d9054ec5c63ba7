//! Pointers that a guest made up: outside memory is a fault, in both directions, for every function.

use caxton_model::{EngineKind, EngineProfile, ImportClass, Limits, Permission, Permissions};

use crate::harness::*;

/// What the functions of [`FUNCTIONS`] need in order to link.
const RIGHTS: [Permission; 6] = [
    Permission::HttpRead,
    Permission::VaultRead,
    Permission::VaultWrite,
    Permission::EventEmit,
    Permission::DataRead,
    Permission::DataWrite,
];

/// Import, and a call of it with `$p` and `$n` where a pointer and its length go.
const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("send_message", "(param i32 i32) (result i32)", "P N"),
    (
        "send_local_message",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "send_local_message",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "broadcast_message",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "broadcast_message",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    ("subscribe_messages", "(param i32 i32) (result i32)", "P N"),
    (
        "store_data",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "store_data",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "load_data",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "load_data",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    ("delete_data", "(param i32 i32) (result i32)", "P N"),
    ("console_log", "(param i32 i32)", "P N"),
    ("console_error", "(param i32 i32)", "P N"),
    ("log_record", "(param i32 i32 i32) (result i32)", "2 P N"),
    (
        "register_capabilities",
        "(param i32 i32) (result i32)",
        "P N",
    ),
    (
        "config_get",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "config_get",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "data_get",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "data_get",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "data_put",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "data_put",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "data_list",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "data_list",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    ("data_delete", "(param i32 i32) (result i32)", "P N"),
    ("respond", "(param i32 i32)", "P N"),
    ("http_request", "(param i32 i32) (result i32)", "P N"),
    (
        "host_network_request",
        "(param i32 i32) (result i32)",
        "P N",
    ),
    ("read_response", "(param i32 i32) (result i32)", "P N"),
    (
        "vault_get",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "vault_get",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "vault_put",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "vault_put",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "event_emit",
        "(param i32 i32 i32 i32) (result i32)",
        "P N 0 1",
    ),
    (
        "event_emit",
        "(param i32 i32 i32 i32) (result i32)",
        "0 1 P N",
    ),
    (
        "metric",
        "(param i32 i32 i32 f64) (result i32)",
        "0 P N 1.0",
    ),
];

const WASI: &[(&str, &str, &str)] = &[
    ("args_sizes_get", "(param i32 i32) (result i32)", "P 0"),
    ("args_sizes_get", "(param i32 i32) (result i32)", "0 P"),
    ("args_get", "(param i32 i32) (result i32)", "P 0"),
    ("args_get", "(param i32 i32) (result i32)", "0 P"),
    ("environ_sizes_get", "(param i32 i32) (result i32)", "P 0"),
    ("clock_res_get", "(param i32 i32) (result i32)", "0 P"),
    ("random_get", "(param i32 i32) (result i32)", "P N"),
    ("fd_fdstat_get", "(param i32 i32) (result i32)", "1 P"),
    ("fd_filestat_get", "(param i32 i32) (result i32)", "1 P"),
    (
        "fd_write",
        "(param i32 i32 i32 i32) (result i32)",
        "1 P 1 0",
    ),
    (
        "fd_write",
        "(param i32 i32 i32 i32) (result i32)",
        "1 64 1 P",
    ),
    ("fd_read", "(param i32 i32 i32 i32) (result i32)", "0 P 1 0"),
    (
        "fd_read",
        "(param i32 i32 i32 i32) (result i32)",
        "0 64 1 P",
    ),
    (
        "poll_oneoff",
        "(param i32 i32 i32 i32) (result i32)",
        "P 0 1 0",
    ),
    (
        "poll_oneoff",
        "(param i32 i32 i32 i32) (result i32)",
        "64 P 1 0",
    ),
    (
        "poll_oneoff",
        "(param i32 i32 i32 i32) (result i32)",
        "64 0 1 P",
    ),
];

/// Just beyond the two pages; far beyond; lengths that are negative or make the sum overflow.
const SPANS: &[(&str, &str)] = &[
    ("131072", "1"),
    ("131071", "2"),
    ("-1", "1"),
    ("0", "-1"),
    ("-1", "-1"),
    ("2147483647", "2147483647"),
    ("16", "131072"),
];

fn attack(kind: EngineKind, limits: &Limits, module: &str, function: (&str, &str, &str)) {
    let (name, ty, call) = function;
    for (ptr, len) in SPANS {
        // A pointer alone: only those that lie outside by themselves.
        if !call.contains('N') && !["-1", "131072"].contains(ptr) {
            continue;
        }
        let args: String = call
            .split(' ')
            .map(|word| match word {
                "P" => format!("(i32.const {ptr})"),
                "N" => format!("(i32.const {len})"),
                number if number.contains('.') => format!("(f64.const {number})"),
                number => format!("(i32.const {number})"),
            })
            .collect();
        let called = format!("(call $f {args})");
        let called = if ty.contains("result") {
            format!("(drop {called})")
        } else {
            called
        };
        let text = agent(
            &format!(r#"(import "{module}" "{name}" (func $f {ty}))"#),
            &format!("{called} (i32.const 0)"),
        );
        let granted = match module {
            "wasi_snapshot_preview1" => Permissions::new(),
            _ => Permissions::from(RIGHTS),
        };
        let linked = linked_with(engine(kind), EngineProfile::Hardened, &text, &granted);
        let done = turn(&linked, limits, TestHost::default());
        let fault = done.result.expect_err(&called);
        assert_eq!(
            fault.code.as_str(),
            "bad-pointer",
            "{kind} {name} {called}: {fault}"
        );
    }
}

#[test]
fn no_function_reads_or_writes_outside_memory() {
    for function in FUNCTIONS {
        attack(EngineKind::Cranelift, &agent_limits(), "env", *function);
        for kind in KINDS {
            attack(kind, &agent_limits(), "caxton", *function);
        }
    }
}

#[test]
fn every_function_that_takes_a_pointer_is_attacked() {
    for offered in caxton_package::OFFERED {
        let takes = offered.types.iter().any(|ty| ty.contains("ii"));
        // What no version grants yet does not link; `abort` has a test of its own below.
        let elsewhere = matches!(offered.class, ImportClass::Right(right) if !right.is_performed())
            || offered.name == "abort";
        let attacked = FUNCTIONS.iter().any(|(name, _, _)| *name == offered.name);
        assert!(
            !takes || elsewhere || attacked,
            "{} is not attacked",
            offered.name
        );
    }
}

#[test]
fn no_wasi_function_reads_or_writes_outside_memory() {
    for function in WASI {
        for kind in KINDS {
            attack(kind, &agent_limits(), "wasi_snapshot_preview1", *function);
        }
    }
}

#[test]
fn an_abort_with_wild_strings_is_an_abort() {
    for ptr in ["-1", "0", "131073", "2147483647", "3"] {
        let text = agent(
            r#"(import "env" "abort" (func $abort (param i32 i32 i32 i32)))"#,
            &format!(
                "(call $abort (i32.const {ptr}) (i32.const {ptr}) (i32.const -1) (i32.const 2)) (i32.const 0)"
            ),
        );
        let fault = turn(
            &linked(KINDS[0], &text),
            &agent_limits(),
            TestHost::default(),
        )
        .result
        .unwrap_err();
        assert_eq!(fault.code.as_str(), "guest-abort");
    }
}

#[test]
fn an_abort_says_what_and_where() {
    // "boom" and "a.ts" in UTF-16, each with its length before it.
    let text = agent(
        r#"(import "env" "abort" (func $abort (param i32 i32 i32 i32)))
           (data (i32.const 0) "\08\00\00\00b\00o\00o\00m\00") (data (i32.const 32) "\08\00\00\00a\00.\00t\00s\00")"#,
        "(call $abort (i32.const 4) (i32.const 36) (i32.const 12) (i32.const 3)) (i32.const 0)",
    );
    let fault = turn(
        &linked(KINDS[0], &text),
        &agent_limits(),
        TestHost::default(),
    )
    .result
    .unwrap_err();
    assert!(fault.text.contains("boom (at a.ts:12:3)"), "{fault}");
}

#[test]
fn what_is_too_large_is_a_code_and_no_fault() {
    let text = r#"(module (import "env" "send_message" (func $send (param i32 i32) (result i32)))
        (memory (export "memory") 40)
        (func (export "caxton_alloc") (param i32) (result i32) (i32.const 64))
        (func (export "handle_message") (param i32 i32) (result i32)
          (call $send (i32.const 0) (i32.const 1048577))))"#;
    let done = turn(
        &linked(KINDS[0], text),
        &agent_limits(),
        TestHost::default(),
    );
    assert_eq!(done.result, Ok(caxton_engine::Returned::Code(-4)));
    assert!(done.host.sent.is_empty());
}
