//! What an agent can do.

use bytes::Bytes;
use caxton_engine::{Call, LogLevel, Returned};
use caxton_model::{Kind, LimitName, Micros};

use crate::harness::*;

#[test]
fn a_message_goes_in_and_its_effects_come_out() {
    let text = agent(
        r#"(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
           (import "env" "console_log" (func $log (param i32 i32)))
           (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
           (import "caxton" "load_data" (func $load (param i32 i32 i32 i32) (result i32)))
           (data (i32.const 0) "key[WARN] careful")"#,
        r#"(drop (call $send (local.get $ptr) (local.get $len)))
           (call $log (i32.const 3) (i32.const 14))
           (drop (call $store (i32.const 0) (i32.const 3) (local.get $ptr) (local.get $len)))
           (call $load (i32.const 0) (i32.const 3) (i32.const 100) (i32.const 2))"#,
    );
    for kind in KINDS {
        let instance = start(&linked(kind, &text), &agent_limits()).unwrap();
        let turn = message(instance, b"{\"a\":1}", TestHost::default());
        assert_eq!(turn.result, Ok(Returned::Code(7)), "{kind}");
        assert_eq!(turn.host.sent, ["{\"a\":1}"]);
        assert_eq!(turn.host.logs, [(LogLevel::Warn, "careful".to_owned())]);
        assert_eq!(turn.host.state[&b"key".to_vec()], "{\"a\":1}");
        assert_eq!(turn.usage.host_calls, 4);
        assert!(turn.instance.is_some() && turn.usage.memory_bytes == 131_072);
    }
}

#[test]
fn functions_link_with_and_without_a_result() {
    let text = agent(
        r#"(import "env" "send_message" (func $send (param i32 i32)))
           (import "caxton" "store_data" (func $store (param i32 i32 i32 i32)))
           (import "caxton" "broadcast_message" (func $all (param i32 i32 i32 i32) (result i32)))"#,
        r#"(call $send (local.get $ptr) (local.get $len))
           (call $store (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))
           (call $all (local.get $ptr) (local.get $len) (local.get $ptr) (local.get $len))"#,
    );
    let turn = turn(
        &linked(KINDS[0], &text),
        &agent_limits(),
        TestHost::default(),
    );
    assert_eq!(turn.result, Ok(Returned::Code(7)));
    assert_eq!((turn.host.sent.len(), turn.host.broadcasts.len()), (1, 1));
}

#[test]
fn every_call_reaches_its_export_and_absent_ones_answer_nothing() {
    let text = r#"(module (memory (export "memory") 3)
        (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "agent_init") (result i32) (i32.const 3))
        (func (export "handle_message") (param i32 i32) (result i32) (local.get 1))
        (func (export "handle_timer") (param i32) (result i32) (local.get 0))
        (func (export "agent_shutdown"))
        (func (export "migrate") (param i32 i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "get_capabilities") (param i32 i32) (result i32)
          (i32.store8 (local.get 0) (i32.const 123)) (i32.store8 offset=1 (local.get 0) (i32.const 125)) (i32.const 2)))"#;
    let calls = [
        (Call::Init, Returned::Code(3)),
        (
            Call::Message(Bytes::from_static(b"12345")),
            Returned::Code(5),
        ),
        (Call::Timer(42), Returned::Code(42)),
        (
            Call::Migrate("1.0.0".into()),
            Returned::Code(i32::from(b'1')),
        ),
        (
            Call::Capabilities,
            Returned::Capabilities(Some(b"{}".to_vec())),
        ),
        (Call::Shutdown, Returned::Code(0)),
    ];
    for kind in KINDS {
        let mut instance = start(&linked(kind, text), &agent_limits()).unwrap();
        for (asked, wanted) in calls.clone() {
            let turn = call(instance, asked, TestHost::default());
            assert_eq!(turn.result, Ok(wanted));
            instance = turn.instance.unwrap();
        }
    }
    let bare = agent("", "(i32.const 0)");
    let mut instance = start(&linked(KINDS[0], &bare), &agent_limits()).unwrap();
    for (asked, wanted) in [
        (Call::Init, Returned::Code(0)),
        (Call::Timer(1), Returned::Code(0)),
        (Call::Migrate(String::new()), Returned::Code(0)),
        (Call::Capabilities, Returned::Capabilities(None)),
        (Call::Shutdown, Returned::Code(0)),
    ] {
        let turn = call(instance, asked, TestHost::default());
        assert_eq!(turn.result, Ok(wanted));
        instance = turn.instance.unwrap();
    }
}

#[test]
fn a_larger_descriptor_is_asked_for_again() {
    let text = r#"(module (memory (export "memory") 8)
        (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0))
        (func (export "get_capabilities") (param i32 i32) (result i32)
          (memory.fill (local.get 0) (i32.const 32) (local.get 1)) (i32.const 100000)))"#;
    let instance = start(&linked(KINDS[0], text), &agent_limits()).unwrap();
    let turn = call(instance, Call::Capabilities, TestHost::default());
    assert_eq!(
        turn.result,
        Ok(Returned::Capabilities(Some(vec![32; 100_000])))
    );
}

#[test]
fn memory_stays_between_turns_and_a_reactor_is_initialised() {
    let text = r#"(module (memory (export "memory") 2) (global $n (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $n (i32.const 10)))
        (func (export "malloc") (param i32) (result i32) (i32.const 65536))
        (func (export "free") (param i32))
        (func (export "handle_message") (param i32 i32) (result i32)
          (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"#;
    let mut instance = start(&linked(KINDS[0], text), &agent_limits()).unwrap();
    for wanted in 11..14 {
        let turn = message(instance, b"{}", TestHost::default());
        assert_eq!(turn.result, Ok(Returned::Code(wanted)));
        instance = turn.instance.unwrap();
    }
}

#[test]
fn a_value_on_the_slow_side_suspends_the_guest() {
    let text = agent(
        r#"(import "caxton" "load_data" (func $load (param i32 i32 i32 i32) (result i32)))
           (data (i32.const 0) "k")"#,
        "(call $load (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 100))",
    );
    let host = || TestHost {
        slow: [(b"k".to_vec(), Bytes::from_static(b"value"))].into(),
        slow_by: Micros::millis(30),
        ..TestHost::default()
    };
    let linked = linked(KINDS[0], &text);
    let done = turn(&linked, &agent_limits(), host());
    assert_eq!(done.result, Ok(Returned::Code(5)));
    assert!(done.usage.host_wait_nanos >= 29_000_000, "{:?}", done.usage);
    assert!(
        done.usage.cpu_nanos < 10_000_000,
        "waiting is not running: {:?}",
        done.usage
    );
    // Longer than `wall`: the wait is ended, and the guest with it.
    let limits = limits_with(Kind::Agent, &[(LimitName::Wall, 10_000)]);
    let late = turn(&linked, &limits, host());
    assert_eq!(late.result.unwrap_err().code.as_str(), "wall-limit");
}

#[test]
fn two_agents_hold_their_memory_apart_and_a_new_one_finds_none() {
    let text = agent(
        "",
        "(local $old i32) (local.set $old (i32.load (i32.const 512)))
         (i32.store (i32.const 512) (i32.const 77)) (local.get $old)",
    );
    let linked = linked(KINDS[0], &text);
    for _ in 0..50 {
        let turn = turn(&linked, &agent_limits(), TestHost::default());
        assert_eq!(
            turn.result,
            Ok(Returned::Code(0)),
            "bytes of an earlier agent were seen"
        );
    }
}

#[test]
fn the_rest_of_the_table_works() {
    let text = r#"(module
        (import "caxton" "set_timer" (func $timer (param i64) (result i32)))
        (import "caxton" "cancel_timer" (func $cancel (param i32) (result i32)))
        (import "caxton" "current_timestamp" (func $now (result i64)))
        (import "caxton" "random_u32" (func $random (result i32)))
        (import "caxton" "register_capabilities" (func $register (param i32 i32) (result i32)))
        (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
        (import "caxton" "metric" (func $metric (param i32 i32 i32 f64)))
        (import "caxton" "delete_data" (func $delete (param i32 i32) (result i32)))
        (import "caxton" "subscribe_messages" (func $sub (param i32 i32) (result i32)))
        (import "caxton" "unsubscribe_messages" (func $unsub (param i32) (result i32)))
        (import "caxton" "log_record" (func $log (param i32 i32 i32)))
        (import "caxton" "send_local_message" (func $local (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2) (data (i32.const 0) "name{}")
        (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "handle_timer") (param i32) (result i32) (i32.const 0))
        (func $check (param $is i32) (param $wanted i32) (if (i32.ne (local.get $is) (local.get $wanted)) (then unreachable)))
        (func (export "handle_message") (param i32 i32) (result i32)
          (call $check (call $timer (i64.const 5000)) (i32.const 1))
          (call $check (call $cancel (i32.const 1)) (i32.const 0))
          (call $check (call $cancel (i32.const 1)) (i32.const -1))
          (call $check (i32.wrap_i64 (call $now)) (i32.const 123456))
          (drop (call $random))
          (call $check (call $register (i32.const 4) (i32.const 2)) (i32.const 0))
          (call $check (call $config (i32.const 0) (i32.const 4) (i32.const 200) (i32.const 2)) (i32.const 5))
          (call $check (i32.load16_u (i32.const 200)) (i32.const 0x6c76))
          (call $check (call $config (i32.const 0) (i32.const 3) (i32.const 200) (i32.const 2)) (i32.const -1))
          (call $metric (i32.const 1) (i32.const 0) (i32.const 4) (f64.const 2.5))
          (call $check (call $delete (i32.const 0) (i32.const 4)) (i32.const -1))
          (call $check (call $sub (i32.const 4) (i32.const 2)) (i32.const 1))
          (call $check (call $unsub (i32.const 9)) (i32.const -1))
          (call $log (i32.const 4) (i32.const 0) (i32.const 4))
          (call $local (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 2))))"#;
    for kind in KINDS {
        let host = TestHost {
            now: 123_456,
            config: [("name".to_owned(), "vlues".to_owned())].into(),
            ..TestHost::default()
        };
        let turn = turn(&linked(kind, text), &agent_limits(), host);
        assert_eq!(turn.result, Ok(Returned::Code(0)));
        assert_eq!(turn.host.metrics, [("name".to_owned(), 2.5)]);
        assert_eq!(turn.host.logs, [(LogLevel::Error, "name".to_owned())]);
        assert_eq!(turn.host.sent, ["name: {}"]);
        assert_eq!(turn.host.registered.as_deref(), Some("{}"));
    }
}

#[test]
fn what_is_no_duration_sets_no_timer_and_does_not_suspend() {
    // 100 years and one microsecond more.
    let text = r#"(module
        (import "caxton" "set_timer" (func $timer (param i64) (result i32)))
        (import "caxton" "sleep_micros" (func $sleep (param i64)))
        (memory (export "memory") 2)
        (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "handle_timer") (param i32) (result i32) (i32.const 0))
        (func $check (param $is i32) (param $wanted i32) (if (i32.ne (local.get $is) (local.get $wanted)) (then unreachable)))
        (func $refused (param $micros i64)
          (call $check (call $timer (local.get $micros)) (i32.const -2))
          (call $sleep (local.get $micros)))
        (func (export "handle_message") (param i32 i32) (result i32)
          (call $refused (i64.const -1))
          (call $refused (i64.const -5))
          (call $refused (i64.const 0x8000000000000000))
          (call $refused (i64.const 0x7fffffffffffffff))
          (call $refused (i64.const 3155760000000001))
          (call $check (call $timer (i64.const 0)) (i32.const 1))
          (call $check (call $timer (i64.const 3155760000000000)) (i32.const 2))
          (call $sleep (i64.const 0))
          (i32.const 0)))"#;
    for kind in KINDS {
        let turn = turn(&linked(kind, text), &agent_limits(), TestHost::default());
        assert_eq!(turn.result, Ok(Returned::Code(0)));
        let delays: Vec<_> = turn.host.timers.iter().map(|(_, delay)| delay.0).collect();
        assert_eq!(delays, [0, 3_155_760_000_000_000]);
    }
}

#[test]
fn a_panic_of_the_host_ends_the_call_and_nothing_else() {
    let text = agent(
        r#"(import "caxton" "console_log" (func $log (param i32 i32)))"#,
        "(call $log (i32.const 0) (i32.const 1)) (i32.const 0)",
    );
    let linked = linked(KINDS[0], &text);
    let host = TestHost {
        panic_on_log: true,
        ..TestHost::default()
    };
    let done = turn(&linked, &agent_limits(), host);
    assert_eq!(done.result.unwrap_err().code.as_str(), "internal");
    assert!(done.instance.is_none());
    assert!(
        turn(&linked, &agent_limits(), TestHost::default())
            .result
            .is_ok()
    );
}

#[test]
fn an_exit_with_code_0_ends_the_agent_and_is_no_fault() {
    let exits = |code: i32| {
        agent(
            r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
               (import "caxton" "console_log" (func $log (param i32 i32)))"#,
            &format!(
                "(call $log (i32.const 0) (i32.const 1)) (call $exit (i32.const {code})) (i32.const 0)"
            ),
        )
    };
    for kind in KINDS {
        let done = turn(
            &linked(kind, &exits(0)),
            &agent_limits(),
            TestHost::default(),
        );
        assert_eq!(done.result, Ok(Returned::Ended));
        assert!(done.instance.is_none(), "it is not called again");
        assert_eq!(done.host.logs.len(), 1);
        let done = turn(
            &linked(kind, &exits(3)),
            &agent_limits(),
            TestHost::default(),
        );
        assert_eq!(done.result.unwrap_err().code.as_str(), "guest-exit");
    }
}

#[test]
fn an_exit_with_code_0_after_a_refused_growth_is_the_memorys_fault() {
    let text = agent(
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
        "(drop (memory.grow (i32.const 60000))) (call $exit (i32.const 0)) (i32.const 0)",
    );
    let done = turn(
        &linked(KINDS[0], &text),
        &agent_limits(),
        TestHost::default(),
    );
    assert_eq!(done.result.unwrap_err().code.as_str(), "memory-limit");
}

#[test]
fn an_exit_in_an_init_is_a_fault() {
    let text = agent(
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
           (func (export "agent_init") (result i32) (call $exit (i32.const 0)) (i32.const 0))"#,
        "(i32.const 0)",
    );
    let started =
        run(linked(KINDS[0], &text).instantiate(&agent_limits(), Box::new(TestHost::default())));
    let done = call(started.result.unwrap(), Call::Init, TestHost::default());
    assert_eq!(done.result.unwrap_err().code.as_str(), "guest-exit");
}
