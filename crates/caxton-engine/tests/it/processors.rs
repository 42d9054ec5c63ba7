//! Processors in their three forms, and core extensions.

use bytes::Bytes;
use caxton_engine::{Arguments, Engine, FreedBy, Linked, LogLevel, Processed};
use caxton_model::{EngineProfile, Fault, Kind, LimitName, Limits};

use crate::harness::*;

fn limits() -> Limits {
    Limits::for_kind(Kind::Processor)
}

fn process_with(linked: &Linked, input: &[u8], ty: Option<&str>, limits: &Limits) -> Processed {
    let input = Bytes::copy_from_slice(input);
    run(linked.process(input, ty, limits, Box::new(TestHost::default())))
}

fn process(linked: &Linked, input: &[u8]) -> Result<Vec<u8>, Fault> {
    process_with(linked, input, None, &limits()).result
}

/// Bump allocator; `deallocate` logs what it is given.
const COMMON: &str = r#"(import "env" "console_log" (func $log (param i32 i32)))
  (memory (export "memory") 20) (global $top (mut i32) (i32.const 4096))
  (func (export "allocate") (param i32) (result i32) (local i32)
    (local.set 1 (global.get $top)) (global.set $top (i32.add (global.get $top) (local.get 0))) (local.get 1))
  (func (export "deallocate") (param i32 i32) (call $log (i32.const 0) (i32.const 5)))
  (data (i32.const 0) "freed")"#;

/// Upper-cases in place and gives its input back.
fn c_string(more: &str) -> String {
    format!(
        r#"(module {COMMON} {more}
        (func (export "process") (param $p i32) (result i32) (local $q i32) (local.set $q (local.get $p))
          (block (loop
            (br_if 1 (i32.eqz (i32.load8_u (local.get $q))))
            (i32.store8 (local.get $q) (i32.and (i32.load8_u (local.get $q)) (i32.const 0xdf)))
            (local.set $q (i32.add (local.get $q) (i32.const 1))) (br 0)))
          (local.get $p)))"#
    )
}

#[test]
fn c_strings_go_in_and_out() {
    for kind in KINDS {
        let linked = linked(kind, &c_string(""));
        for _ in 0..3 {
            let done = process_with(&linked, b"hello", None, &limits());
            assert_eq!(done.result.unwrap(), b"HELLO");
            assert_eq!(
                host_back(done.host).logs,
                [(LogLevel::Info, "freed".into())]
            );
        }
        assert_eq!(process(&linked, b"").unwrap(), b"");
    }
}

#[test]
fn a_c_string_processor_takes_text_only() {
    let linked = linked(KINDS[0], &c_string(""));
    for bad in [&b"a\0b"[..], b"\xff\xfe"] {
        let fault = process(&linked, bad).unwrap_err();
        assert_eq!(fault.code.as_str(), "malformed-request", "{fault}");
    }
}

#[test]
fn module_info_says_who_frees_and_which_formats() {
    let info = |json: &str, formats: &str| {
        let json = json.replace('"', "\\22");
        let formats = formats.replace('"', "\\22");
        c_string(&format!(
            r#"(data (i32.const 100) "{json}\00") (data (i32.const 600) "{formats}\00")
            (func (export "get_module_info") (result i32) (i32.const 100))
            (func (export "get_supported_formats") (result i32) (i32.const 600))"#
        ))
    };
    let text = info(
        r#"{"name":"up","version":"1.0","output_freed_by":"host","dependencies":["x"]}"#,
        r#"["text/plain"]"#,
    );
    let linked_info = linked(KINDS[0], &text);
    let (described, _) =
        run(linked_info.describe_processor(&limits(), Box::new(TestHost::default())));
    let described = described.unwrap();
    assert_eq!(
        (described.name.as_str(), described.output_freed_by),
        ("up", FreedBy::Host)
    );
    let done = process_with(
        &linked_info,
        b"x",
        Some("text/plain; charset=utf-8"),
        &limits(),
    );
    assert_eq!(done.result.unwrap(), b"X");
    assert_eq!(
        host_back(done.host).logs.len(),
        2,
        "output and input are freed"
    );
    let fault = process_with(&linked_info, b"x", Some("image/png"), &limits())
        .result
        .unwrap_err();
    assert_eq!(fault.code.as_str(), "unsupported-media-type");
    let broken = linked(KINDS[0], &info("{", "[]"));
    let fault = process(&broken, b"x").unwrap_err();
    assert_eq!(fault.code.as_str(), "bad-return", "{fault}");
}

#[test]
fn bad_c_strings_are_faults_by_name() {
    for (out, code, what) in [
        ("(i32.const 0)", "guest-error", "null"),
        (
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 1310720)) (i32.const 9)",
            "bad-return",
            "NUL",
        ),
        ("(i32.const -1)", "bad-pointer", "outside"),
    ] {
        let text = format!(
            r#"(module {COMMON} (func (export "process") (param i32) (result i32) {out}))"#
        );
        let fault = process(&linked(KINDS[0], &text), b"x").unwrap_err();
        assert_eq!(fault.code.as_str(), code, "{fault}");
        assert!(fault.text.contains(what), "{fault}");
    }
}

/// Doubles its input.
const DOUBLE: &str = r#"(func (export "process") (param $p i32) (param $n i32) (param $out i32) (result i32)
    (memory.copy (i32.const 500000) (local.get $p) (local.get $n))
    (memory.copy (i32.add (i32.const 500000) (local.get $n)) (local.get $p) (local.get $n))
    (i32.store (local.get $out) (i32.mul (local.get $n) (i32.const 2))) (i32.const 500000))"#;

#[test]
fn lengths_go_in_and_out() {
    for kind in KINDS {
        let linked = linked(kind, &format!("(module {COMMON} {DOUBLE})"));
        assert_eq!(process(&linked, b"a\0b").unwrap(), b"a\0ba\0b");
        assert_eq!(process(&linked, b"").unwrap(), b"");
    }
}

#[test]
fn payloads_have_a_limit_in_both_directions() {
    let linked = linked(KINDS[0], &format!("(module {COMMON} {DOUBLE})"));
    let limits = limits_with(Kind::Processor, &[(LimitName::PayloadBytes, 100)]);
    for n in [101, 51] {
        let fault = process_with(&linked, &vec![1; n], None, &limits)
            .result
            .unwrap_err();
        assert_eq!(fault.code.as_str(), "payload-too-large", "{fault}");
        assert!(
            fault.text.contains("`payload_bytes` is 100 bytes"),
            "{fault}"
        );
    }
    assert_eq!(
        process_with(&linked, &[1; 50], None, &limits)
            .result
            .unwrap(),
        [1; 100]
    );
}

#[test]
fn a_length_that_lies_is_a_fault() {
    let lie = r#"(func (export "process") (param i32 i32 i32) (result i32)
        (i32.store (local.get 2) (i32.const 1000)) (i32.const 1310000))"#;
    let fault = process(&linked(KINDS[0], &format!("(module {COMMON} {lie})")), b"x").unwrap_err();
    assert_eq!(fault.code.as_str(), "bad-pointer", "{fault}");
}

#[test]
fn nothing_stays_between_calls_in_the_same_slot() {
    // Answers what it finds at one place, then writes there.
    let text = format!(
        r#"(module {COMMON} (global $n (mut i32) (i32.const 0)) (table $t 2 funcref) (elem declare func $f) (func $f)
        (func (export "process") (param i32 i32 i32) (result i32)
          (i32.store8 (i32.const 900000) (i32.add (global.get $n) (i32.load8_u (i32.const 900001))))
          (if (i32.eqz (ref.is_null (table.get $t (i32.const 1)))) (then (i32.store8 (i32.const 900000) (i32.const 99))))
          (i32.store8 (i32.const 900001) (i32.const 7)) (global.set $n (i32.const 8))
          (table.set $t (i32.const 1) (ref.func $f))
          (i32.store (local.get 2) (i32.const 1)) (i32.const 900000)))"#
    );
    let linked = linked(KINDS[0], &text);
    for _ in 0..100 {
        assert_eq!(process(&linked, b"x").unwrap(), [0]);
    }
}

#[test]
fn more_calls_at_once_than_places_are_refused_by_name() {
    let text = format!(
        r#"(module (import "caxton" "sleep_micros" (func $sleep (param i64))) {COMMON}
        (func (export "process") (param i32) (result i32) (call $sleep (i64.const 100000)) (local.get 0)))"#
    );
    let engine = Engine::new(options(KINDS[0])).unwrap();
    let linked = linked_on(&engine, EngineProfile::Hardened, &text);
    type Running = std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, Fault>>>>;
    let mut futures: Vec<Running> = vec![];
    for _ in 0..20 {
        let linked = linked.clone();
        futures.push(Box::pin(async move {
            linked
                .process(
                    Bytes::from_static(b"x"),
                    None,
                    &limits(),
                    Box::new(TestHost::default()),
                )
                .await
                .result
        }));
    }
    let done = run_all(futures);
    let refused: Vec<_> = done.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(refused.len(), 4);
    assert!(
        refused
            .iter()
            .all(|fault| fault.code.as_str() == "concurrency-limit"),
        "{refused:?}"
    );
}

#[test]
fn processors_attacks_are_ended_too() {
    for kind in KINDS {
        let spin = format!(
            r#"(module {COMMON} (func (export "process") (param i32) (result i32) (loop (br 0)) (i32.const 1)))"#
        );
        let limits = limits_with(Kind::Processor, &[(LimitName::Cpu, 20_000)]);
        let done = process_with(&linked(kind, &spin), b"x", None, &limits);
        assert_eq!(done.result.unwrap_err().code.as_str(), "cpu-limit");
        let grow = format!(
            r#"(module {COMMON} (func (export "process") (param i32) (result i32)
              (if (i32.eq (memory.grow (i32.const 10000)) (i32.const -1)) (then unreachable)) (i32.const 1)))"#
        );
        let fault = process(&linked(kind, &grow), b"x").unwrap_err();
        assert_eq!(fault.code.as_str(), "memory-limit", "{fault}");
    }
}

const WASI: &str = r#"
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)"#;

/// Copies standard input to standard output, then ends as told.
fn cat(end: &str) -> String {
    format!(
        r#"(module {WASI} (data (i32.const 40) "a line\0arest")
        (func (export "_start")
          (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 10))
          (block (loop
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if 1 (i32.eqz (i32.load (i32.const 8))))
            (i32.store (i32.const 16) (i32.const 1000)) (i32.store (i32.const 20) (i32.load (i32.const 8)))
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
            (br 0)))
          (i32.store (i32.const 16) (i32.const 40)) (i32.store (i32.const 20) (i32.const 11))
          (drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 8)))
          {end}))"#
    )
}

#[test]
fn a_command_reads_stdin_and_writes_stdout() {
    for kind in KINDS {
        for end in ["", "(call $exit (i32.const 0))"] {
            let done = process_with(
                &linked(kind, &cat(end)),
                b"some payload\0\xff",
                None,
                &limits(),
            );
            assert_eq!(done.result.unwrap(), b"some payload\0\xff");
            let logs = host_back(done.host).logs;
            let line = |text: &str| (LogLevel::Error, text.to_owned());
            assert_eq!(logs, [line("a line"), line("rest")]);
        }
    }
}

#[test]
fn a_command_that_exits_otherwise_reports_an_error_and_its_output_is_bounded() {
    let fault = process(&linked(KINDS[0], &cat("(call $exit (i32.const 3))")), b"x").unwrap_err();
    assert_eq!(fault.code.as_str(), "guest-error");
    assert!(fault.text.contains("code 3"), "{fault}");
    let endless = format!(
        r#"(module {WASI} (func (export "_start")
          (i32.store (i32.const 4) (i32.const 60000))
          (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))))"#
    );
    let limits = limits_with(Kind::Processor, &[(LimitName::PayloadBytes, 1 << 20)]);
    let done = process_with(&linked(KINDS[0], &endless), b"x", None, &limits);
    assert_eq!(done.result.unwrap_err().code.as_str(), "payload-too-large");
}

#[test]
fn deterministic_calls_give_the_same_bytes_and_fuel_on_both_engines() {
    // Random bytes, clocks, a sleep of an hour, a NaN.
    let text = r#"(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (import "caxton" "sleep_micros" (func $sleep (param i64)))
      (memory (export "memory") 2)
      (func (export "allocate") (param i32) (result i32) (i32.const 4096))
      (func (export "deallocate") (param i32 i32))
      (func (export "process") (param i32 i32 i32) (result i32) (local i32)
        (drop (call $random (i32.const 100) (i32.const 16)))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 116)))
        (call $sleep (i64.const 3600000000))
        (i64.store (i32.const 524) (i64.const 3600000000000))
        (drop (call $poll (i32.const 500) (i32.const 600) (i32.const 1) (i32.const 700)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 124)))
        (f64.store (i32.const 132) (f64.div (f64.const 0) (f64.const 0)))
        (loop (local.set 3 (i32.add (local.get 3) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 3) (i32.const 3000000))))
        (i32.store (local.get 2) (i32.const 40)) (i32.const 100)))"#;
    let mut seen = Vec::new();
    for kind in [KINDS[0], KINDS[1], KINDS[0]] {
        let linked = linked_as(kind, EngineProfile::Deterministic, text);
        let host = TestHost {
            now: 1_700_000_000_000_000,
            random: 5,
            ..TestHost::default()
        };
        let limits = limits();
        let done = run(linked.process(Bytes::from_static(b"x"), None, &limits, Box::new(host)));
        let output = done.result.unwrap();
        let slept = u64::from_le_bytes(output[24..32].try_into().unwrap());
        assert_eq!(
            slept, 7_201_000_001_000,
            "the clock moves with both virtual sleeps, and by a microsecond with its reading"
        );
        assert!(
            done.usage.host_wait_nanos < 1_000_000_000,
            "it really slept"
        );
        seen.push((output, done.usage.fuel));
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    assert!(seen[0].1 > 3_000_000);
}

const EXTENSION: &str = r#"(module
  (import "caxton" "respond" (func $respond (param i32 i32)))
  (memory (export "memory") 4)
  (func (export "malloc") (param i32) (result i32) (i32.const 70000)) (func (export "free") (param i32))
  (data (i32.const 0) "{\"actions\":[]}")
  (func (export "extension_describe") (param i32 i32) (result i32)
    (memory.copy (local.get 0) (i32.const 0) (i32.const 14)) (i32.const 14))
  (func (export "extension_call") (param i32 i32) (result i32)
    (call $respond (local.get 0) (local.get 1))
    (i32.eq (i32.load8_u (local.get 0)) (i32.const 33))))"#;

#[test]
fn an_extension_describes_itself_and_answers() {
    let limits = Limits::for_kind(Kind::Extension);
    for kind in KINDS {
        let linked = linked(kind, EXTENSION);
        let host = || Box::new(TestHost::default());
        let described = run(linked.describe_extension(&limits, host()))
            .result
            .unwrap();
        assert_eq!(described, br#"{"actions":[]}"#);
        let answer = run(linked.call_extension(b"{\"action\":1}", &limits, host())).result;
        assert_eq!(answer.unwrap(), b"{\"action\":1}");
        let fault = run(linked.call_extension(b"!no", &limits, host()))
            .result
            .unwrap_err();
        assert_eq!(fault.code.as_str(), "guest-error");
        assert!(fault.text.contains("code 1: !no"), "{fault}");
    }
}

#[test]
fn more_calls_at_once_than_allowed_are_refused_and_their_places_come_back() {
    let text = format!(
        r#"(module {COMMON}
        (func (export "process") (param i32) (result i32) (loop (br 0)) (i32.const 0)))"#
    );
    for kind in KINDS {
        let linked = linked(kind, &text);
        let changed = [(LimitName::ConcurrentCalls, 2), (LimitName::Cpu, 20_000)];
        // Twice: a call that ended by a fault has left its place.
        for _ in 0..2 {
            let mut calls: Vec<std::pin::Pin<Box<dyn Future<Output = String>>>> = Vec::new();
            for _ in 0..3 {
                let linked = linked.clone();
                calls.push(Box::pin(async move {
                    let limits = limits_with(Kind::Processor, &changed);
                    let host = Box::new(TestHost::default());
                    let input = Bytes::from_static(b"x");
                    let done = linked.process(input, None, &limits, host).await;
                    done.result.unwrap_err().code.to_string()
                }));
            }
            assert_eq!(
                run_all(calls),
                ["cpu-limit", "cpu-limit", "concurrency-limit"]
            );
        }
    }
}

/// Writes its arguments as they lie in memory, each with its end.
const ARGUMENTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "_start") (local $i i32)
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 64) (i32.const 65536)))
    ;; the pointers must be where the texts are: the first, and the last
    (if (i32.ne (i32.load (i32.const 64)) (i32.const 65536)) (then unreachable))
    (i32.store (i32.const 8) (i32.load (i32.add (i32.const 60) (i32.mul (i32.load (i32.const 0)) (i32.const 4)))))
    (i32.store (i32.const 12) (i32.sub (i32.add (i32.const 65536) (i32.load (i32.const 4))) (i32.load (i32.const 8))))
    (i32.store (i32.const 16) (i32.const 65536))
    (i32.store (i32.const 20) (i32.load (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 2) (i32.const 32)))))"#;

fn arguments(list: &[&str]) -> Vec<u8> {
    let list: Vec<String> = list.iter().map(|one| (*one).to_owned()).collect();
    let arguments = Arguments::new(&list).unwrap();
    let mut seen = Vec::new();
    for kind in KINDS {
        let linked = linked(kind, ARGUMENTS);
        let limits = limits();
        let host = Box::new(TestHost::default());
        let (input, given) = (Bytes::new(), arguments.clone());
        let done = run(linked.process_with(input, given, None, &limits, host));
        seen.push(done.result.unwrap());
    }
    assert_eq!(seen[0], seen[1]);
    seen.swap_remove(0)
}

#[test]
fn a_command_sees_its_arguments_behind_its_own_name() {
    assert_eq!(arguments(&[]), b"guest\0guest\0");
    assert_eq!(arguments(&["-x", ""]), b"\0guest\0-x\0\0");
    assert_eq!(
        arguments(&["é", "two words"]),
        "two words\0guest\0é\0two words\0".as_bytes()
    );
}

#[test]
fn arguments_are_bounded_and_have_no_zero_byte() {
    let most = caxton_engine::ARGUMENT_BYTES_MAX;
    let name = "guest\0".len();
    assert!(Arguments::new(&["x".repeat(most - name - 1)]).is_ok());
    let fault = Arguments::new(&["x".repeat(most - name)]).unwrap_err();
    assert!(fault.text.contains("128 KiB"), "{fault}");
    let fault = Arguments::new(&["a\0b".to_owned()]).unwrap_err();
    assert!(fault.text.contains("zero byte"), "{fault}");
}
