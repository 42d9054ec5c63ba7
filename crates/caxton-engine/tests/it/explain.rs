//! What a person sees of a guest's failure: names, source lines, a profile.

use caxton_engine::{Call, LogLevel, Returned};
use caxton_model::{Kind, LimitName};

use crate::harness::*;

/// One compilation unit over the whole code section; line 42 of `guest.c` from its first byte on.
fn with_dwarf() -> String {
    let bytes = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect::<String>()
    };
    let unit = |body: &[u8]| {
        let mut unit = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        unit.extend(body);
        unit
    };
    let abbrev = [1, 0x11, 0, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0, 0];
    let info = unit(&[
        4, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0,
    ]);
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0];
    header.extend(b"guest.c\0\0\0\0\0");
    let mut line = vec![4, 0];
    line.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
    line.extend(header);
    line.extend([0, 5, 2, 0, 0, 0, 0, 3, 41, 1, 2, 0xff, 0x1f, 0, 1, 1]);
    format!(
        r#"(module $guest
             (memory (export "memory") 2)
             (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
             (func $_ZN5guest5inner17h0123456789abcdefE unreachable)
             (func $handle (export "handle_message") (param i32 i32) (result i32)
               (call $_ZN5guest5inner17h0123456789abcdefE) (i32.const 0))
             (@custom ".debug_abbrev" "{}") (@custom ".debug_info" "{}") (@custom ".debug_line" "{}"))"#,
        bytes(&abbrev),
        bytes(&info),
        bytes(&unit(&line))
    )
}

#[test]
fn a_backtrace_has_names_and_source_lines() {
    let text = with_dwarf();
    for kind in KINDS {
        let mut fault = turn(&linked(kind, &text), &agent_limits(), TestHost::default())
            .result
            .unwrap_err();
        let names: Vec<_> = fault
            .backtrace
            .iter()
            .map(|frame| frame.function.as_str())
            .collect();
        assert_eq!(names, ["guest::inner", "handle"]);
        assert!(fault.backtrace.iter().all(|frame| frame.source.is_none()));
        engine(kind).symbolise(&verified(&text), &mut fault);
        let sources: Vec<_> = fault
            .backtrace
            .iter()
            .map(|frame| frame.source.as_deref())
            .collect();
        assert_eq!(sources, [Some("guest.c:42"); 2]);
    }
}

#[test]
fn broken_dwarf_leaves_the_backtrace_as_it_is() {
    let good = wat::parse_str(with_dwarf()).unwrap();
    let mut fault = turn(
        &linked(KINDS[0], &with_dwarf()),
        &agent_limits(),
        TestHost::default(),
    )
    .result
    .unwrap_err();
    let start = good
        .windows(6)
        .position(|window| window == b".debug")
        .unwrap();
    for at in start..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        if let Ok(module) = caxton_package::verify(bytes, &caxton_model::Limits::unlimited()) {
            engine(KINDS[0]).symbolise(&module, &mut fault);
        }
    }
    assert_eq!(fault.backtrace.len(), 2);
}

#[test]
fn an_endless_loop_is_named_where_it_is() {
    let text = agent("(func $spins (loop (br 0)))", "(call $spins) (i32.const 0)");
    let limits = limits_with(Kind::Agent, &[(LimitName::Cpu, 20_000)]);
    for kind in KINDS {
        let fault = turn(&linked(kind, &text), &limits, TestHost::default())
            .result
            .unwrap_err();
        assert_eq!(fault.backtrace[0].function, "spins", "{fault}");
    }
}

#[test]
fn standard_streams_of_an_agent_are_log_lines() {
    let text = agent(
        r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
           (data (i32.const 100) "one\ntwo\n[WARN] three")
           (func $say (param $fd i32) (param $at i32) (param $n i32)
             (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $n))
             (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))"#,
        "(call $say (i32.const 1) (i32.const 100) (i32.const 2))
         (call $say (i32.const 1) (i32.const 102) (i32.const 100))
         (call $say (i32.const 2) (i32.const 100) (i32.const 3))
         (drop (call $environ (i32.const 20) (i32.const 24)))
         (i32.add (i32.mul (call $prestat (i32.const 3) (i32.const 0)) (i32.const 100))
           (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))",
    )
    .replace("(i32.const 102) (i32.const 100)", "(i32.const 102) (i32.const 18)");
    for kind in KINDS {
        let done = turn(&linked(kind, &text), &agent_limits(), TestHost::default());
        assert_eq!(
            done.result,
            Ok(Returned::Code(808)),
            "no descriptor is open beyond 2"
        );
        let line = |level, text: &str| (level, text.to_owned());
        assert_eq!(
            done.host.logs,
            [
                line(LogLevel::Info, "one"),
                line(LogLevel::Info, "two"),
                line(LogLevel::Warn, "three"),
                line(LogLevel::Error, "one"),
            ]
        );
    }
}

#[test]
fn one_write_to_the_log_is_bounded() {
    // A thousand buffers of a hundred thousand line ends each: a hundred million lines.
    let text = agent(
        r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#,
        "(local $i i32) (memory.fill (i32.const 10000) (i32.const 10) (i32.const 100000))
         (loop (i32.store (i32.mul (local.get $i) (i32.const 8)) (i32.const 10000))
           (i32.store offset=4 (i32.mul (local.get $i) (i32.const 8)) (i32.const 100000))
           (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $i) (i32.const 1000))))
         (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1000) (i32.const 120000)))
         (i32.load (i32.const 120000))",
    );
    let done = turn(
        &linked(KINDS[0], &text),
        &agent_limits(),
        TestHost::default(),
    );
    assert_eq!(done.result, Ok(Returned::Code(65_536)));
    assert_eq!(done.host.logs.len(), 65_536);
}

#[test]
fn a_log_line_is_cut_at_8_kib() {
    let text = agent(
        r#"(import "env" "console_log" (func $log (param i32 i32)))"#,
        "(memory.fill (i32.const 0) (i32.const 97) (i32.const 20000))
         (call $log (i32.const 0) (i32.const 20000)) (i32.const 0)",
    );
    let done = turn(
        &linked(KINDS[0], &text),
        &agent_limits(),
        TestHost::default(),
    );
    assert_eq!(done.host.logs[0].1.len(), 8 << 10);
}

#[test]
fn a_profile_names_where_the_time_went() {
    let text = agent(
        "(func $busy (local i32) (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.const 50000000)))))",
        "(call $busy) (i32.const 0)",
    );
    let limits = limits_with(
        Kind::Agent,
        &[(LimitName::Cpu, 10_000_000), (LimitName::Wall, 20_000_000)],
    );
    let mut instance = start(&linked(KINDS[0], &text), &limits).unwrap();
    instance.start_profile("guest").unwrap();
    let done = call(instance, Call::Message("{}".into()), TestHost::default());
    let json = done.instance.unwrap().finish_profile().unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains("busy"), "{json}");
}
