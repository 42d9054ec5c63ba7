//! WASI commands: what they wrote, how they ended, and what their calls count as.

use bytes::Bytes;
use caxton_engine::Processed;
use caxton_model::{EngineKind, EngineProfile, Kind, LimitName, Limits};

use crate::harness::*;

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown" (func $shutdown (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv" (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1000) "hello ")"#;

/// A command with this body. `$w` is a local; `$say` writes "hello " to a stream, a byte in each of
/// its buffers; `$empty` writes nothing to it.
fn command(body: &str) -> String {
    format!(
        r#"(module {IMPORTS}
        (func $say (param $fd i32)
          (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 6))
          (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func $empty (param $fd i32)
          (i32.store (i32.const 4) (i32.const 0))
          (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start") (local $w i32) (local $n i64) {body}))"#
    )
}

fn repeat(times: u32, what: &str) -> String {
    format!(
        "(loop {what} (local.set $w (i32.add (local.get $w) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $w) (i32.const {times}))))"
    )
}

/// Writes the number on the stack as one byte.
const PUT: &str = "(local.set $w) (i32.store8 (i32.const 1000) (local.get $w))
    (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 1))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";

fn run_as(kind: EngineKind, profile: EngineProfile, body: &str, limits: &Limits) -> Processed {
    let linked = linked_as(kind, profile, &command(body));
    let input = Bytes::from_static(b"some input");
    run(linked.process(input, None, limits, Box::new(TestHost::default())))
}

fn run_command(kind: EngineKind, body: &str, changed: &[(LimitName, u64)]) -> Processed {
    let limits = limits_with(Kind::Processor, changed);
    run_as(kind, EngineProfile::Hardened, body, &limits)
}

#[test]
fn what_a_command_wrote_before_its_end_is_handed_back() {
    let wasted = "(drop (memory.grow (i32.const 60000)))";
    for (end, code, exit) in [
        ("unreachable", "trap", None),
        ("(call $exit (i32.const 1))", "guest-error", Some(1)),
        ("(call $exit (i32.const 126))", "guest-error", Some(126)),
        ("(call $exit (i32.const 200))", "guest-error", Some(200)),
        ("(call $exit (i32.const -1))", "guest-error", Some(-1)),
        ("(loop (br 0))", "cpu-limit", None),
        (
            &format!("{wasted} (call $exit (i32.const 2))"),
            "memory-limit",
            Some(2),
        ),
    ] {
        for kind in KINDS {
            let body = format!("(call $say (i32.const 1)) {end}");
            let done = run_command(kind, &body, &[(LimitName::Cpu, 20_000)]);
            let fault = done.result.unwrap_err();
            assert_eq!(fault.code.as_str(), code, "{fault}");
            assert_eq!(done.partial_output, b"hello ", "{end}");
            assert_eq!(done.exit_code, exit, "{end}");
            if let (Some(exit), "guest-error") = (exit, code) {
                assert!(fault.text.contains(&format!("code {exit}")), "{fault}");
            }
        }
    }
    let done = run_command(
        KINDS[0],
        "(call $say (i32.const 1)) (call $exit (i32.const 0))",
        &[],
    );
    assert_eq!(
        (done.result.unwrap(), done.exit_code),
        (b"hello ".to_vec(), Some(0))
    );
}

#[test]
fn streams_are_bounded_by_bytes_and_not_by_host_calls() {
    let few = (LimitName::HostCalls, 10);
    for kind in KINDS {
        for fd in [1, 2] {
            let says = repeat(2_000, &format!("(call $say (i32.const {fd}))"));
            let done = run_command(kind, &says, &[few]);
            let output = done.result.unwrap();
            assert_eq!(output.len(), if fd == 1 { 12_000 } else { 0 });
            assert_eq!(done.usage.host_calls, 0);
            // What moves nothing is a call like any other.
            let empty = repeat(2_000, &format!("(call $empty (i32.const {fd}))"));
            let fault = run_command(kind, &empty, &[few]).result.unwrap_err();
            assert_eq!(fault.code.as_str(), "host-call-limit", "{fault}");
            let little = (LimitName::PayloadBytes, 600);
            let fault = run_command(kind, &says, &[few, little]).result.unwrap_err();
            let code = if fd == 1 {
                "payload-too-large"
            } else {
                "host-call-limit"
            };
            assert_eq!(fault.code.as_str(), code, "{fault}");
        }
        // A byte at a time from standard input, and then its end again and again.
        let read =
            "(i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 1))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))";
        let once = run_command(kind, &repeat(10, read), &[few]);
        assert_eq!((once.result.is_ok(), once.usage.host_calls), (true, 0));
        let fault = run_command(kind, &repeat(30, read), &[few])
            .result
            .unwrap_err();
        assert_eq!(fault.code.as_str(), "host-call-limit", "{fault}");
    }
}

#[test]
fn waiting_by_reading_a_virtual_clock_comes_to_an_end() {
    // Until the monotonic clock has moved by a tenth of a second.
    let read = "(drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16)))";
    let wait = format!(
        "{read} (local.set $n (i64.load (i32.const 16)))
         (loop {read} (br_if 0 (i64.lt_u (i64.sub (i64.load (i32.const 16)) (local.get $n)) (i64.const 100000000))))
         (call $say (i32.const 1))"
    );
    let limits = limits_with(Kind::Processor, &[(LimitName::HostCalls, 10)]);
    let fuel = KINDS.map(|kind| {
        let done = run_as(kind, EngineProfile::Deterministic, &wait, &limits);
        assert_eq!(done.result.unwrap(), b"hello ");
        assert_eq!(done.usage.host_calls, 0);
        done.usage.fuel
    });
    assert_eq!(fuel[0], fuel[1]);
    // A clock that stands still for ever: the time that was really run ends it.
    let limits = limits_with(Kind::Processor, &[(LimitName::Cpu, 20_000)]);
    for profile in [EngineProfile::Hardened, EngineProfile::Metered] {
        let done = run_as(KINDS[0], profile, &wait, &limits);
        assert_eq!(done.result.unwrap_err().code.as_str(), "cpu-limit");
    }
}

#[test]
fn a_virtual_clock_moves_with_each_sleep() {
    let wait = format!(
        "(drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16)))
         (i32.store (i32.const 116) (i32.const 1))
         (i64.store (i32.const 124) (i64.const 2000000000))
         (drop (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300)))
         (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 24)))
         (i64.eq (i64.div_u (i64.sub (i64.load (i32.const 24)) (i64.load (i32.const 16))) (i64.const 1000000000)) (i64.const 2)) {PUT}"
    );
    let limits = Limits::for_kind(Kind::Processor);
    let done = run_as(KINDS[0], EngineProfile::Deterministic, &wait, &limits);
    assert_eq!(done.result.unwrap(), [1]);
    assert!(
        done.usage.host_wait_nanos < 1_000_000_000,
        "it really slept"
    );
}

#[test]
fn calls_on_what_is_not_there_answer_their_own_numbers() {
    const BADF: u8 = 8;
    const INVAL: u8 = 28;
    const NOTSOCK: u8 = 57;
    let clock = |id: u32| {
        format!(
            "(i32.store (i32.const 116) (i32.const {id})) (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300))"
        )
    };
    for (call, errno) in [
        ("(call $shutdown (i32.const 0) (i32.const 1))".to_owned(), NOTSOCK),
        ("(call $shutdown (i32.const 1) (i32.const 1))".to_owned(), NOTSOCK),
        ("(call $shutdown (i32.const 9) (i32.const 1))".to_owned(), BADF),
        ("(call $recv (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 8))".to_owned(), NOTSOCK),
        (clock(0), 0),
        (clock(3), 0),
        (clock(4), INVAL),
        (clock(77), INVAL),
        ("(call $clock (i32.const 77) (i64.const 0) (i32.const 16))".to_owned(), INVAL),
    ] {
        let done = run_command(KINDS[0], &format!("{call} {PUT}"), &[]);
        assert_eq!(done.result.unwrap(), [errno], "{call}");
    }
}
