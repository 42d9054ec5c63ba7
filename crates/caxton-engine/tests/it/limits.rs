//! Each limit stops a guest that attacks it, with its own code; a neighbour goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use caxton_engine::{Engine, Returned};
use caxton_model::{EngineProfile, Kind, LimitName, Limits};

use crate::harness::*;

/// Code, body of `handle_message`, fields, changed limits.
struct Attack {
    code: &'static str,
    contains: &'static str,
    fields: &'static str,
    body: &'static str,
    limits: &'static [(LimitName, u64)],
}

const ATTACKS: &[Attack] = &[
    Attack {
        code: "memory-limit",
        contains: "memory",
        fields: "",
        // As Rust does: what it did not get becomes a trap.
        body: "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)) (i32.const 0)",
        limits: &[(LimitName::Memory, 1 << 20)],
    },
    Attack {
        code: "memory-limit",
        contains: "memory",
        fields: r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
        // As Go does.
        body: "(drop (memory.grow (i32.const 100))) (call $exit (i32.const 2)) (i32.const 0)",
        limits: &[(LimitName::Memory, 1 << 20)],
    },
    Attack {
        code: "memory-limit",
        contains: "memory",
        fields: r#"(import "env" "abort" (func $abort (param i32 i32 i32 i32)))"#,
        // As AssemblyScript does.
        body: "(drop (memory.grow (i32.const 100))) (call $abort (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2)) (i32.const 0)",
        limits: &[(LimitName::Memory, 1 << 20)],
    },
    Attack {
        code: "table-limit",
        contains: "table_elements",
        fields: "(table 1 funcref)",
        body: "(if (i32.eq (table.grow (ref.null func) (i32.const 30000)) (i32.const -1)) (then unreachable)) (i32.const 0)",
        limits: &[],
    },
    Attack {
        code: "cpu-limit",
        contains: "cpu",
        fields: "",
        body: "(loop (br 0)) (i32.const 0)",
        limits: &[(LimitName::Cpu, 20_000)],
    },
    Attack {
        code: "wall-limit",
        contains: "wall",
        fields: r#"(import "caxton" "sleep_micros" (func $sleep (param i64)))"#,
        body: "(call $sleep (i64.const 9000000000)) (i32.const 0)",
        limits: &[(LimitName::Wall, 30_000)],
    },
    Attack {
        code: "wall-limit",
        contains: "wall",
        fields: "",
        body: "(loop (br 0)) (i32.const 0)",
        limits: &[(LimitName::Wall, 20_000)],
    },
    Attack {
        code: "stack-limit",
        contains: "stack",
        fields: "(func $deep (param i64) (result i64) (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))",
        body: "(drop (call $deep (i64.const 0))) (i32.const 0)",
        limits: &[],
    },
    Attack {
        code: "host-call-limit",
        contains: "host_calls",
        fields: r#"(import "caxton" "random_u32" (func $random (result i32)))"#,
        body: "(loop (drop (call $random)) (br 0)) (i32.const 0)",
        limits: &[],
    },
    Attack {
        code: "host-call-limit",
        contains: "host_calls",
        fields: r#"(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))"#,
        body: "(loop (drop (call $yield)) (br 0)) (i32.const 0)",
        limits: &[],
    },
    Attack {
        code: "allocation-limit",
        contains: "allocations",
        fields: "",
        body: "(loop (drop (memory.grow (i32.const 1))) (br 0)) (i32.const 0)",
        limits: &[(LimitName::Allocations, 100)],
    },
    Attack {
        code: "allocation-limit",
        contains: "allocations",
        fields: "",
        // Refused ones count too.
        body: "(loop (drop (memory.grow (i32.const 60000))) (br 0)) (i32.const 0)",
        limits: &[(LimitName::Allocations, 100)],
    },
];

fn limits_of(attack: &Attack) -> Limits {
    // Time enough for the interpreter to reach the limit that is meant.
    let mut limits = limits_with(
        Kind::Agent,
        &[(LimitName::Cpu, 5_000_000), (LimitName::Wall, 10_000_000)],
    );
    for (name, value) in attack.limits {
        limits.set(*name, *value);
    }
    limits
}

#[test]
fn every_limit_holds_and_the_neighbour_goes_on() {
    for kind in KINDS {
        let good = linked(kind, &agent("", "(i32.const 5)"));
        let mut neighbour = start(&good, &agent_limits()).unwrap();
        for attack in ATTACKS {
            let hostile = linked(kind, &agent(attack.fields, attack.body));
            let done = turn(&hostile, &limits_of(attack), TestHost::default());
            let fault = done.result.expect_err(attack.body);
            assert_eq!(
                fault.code.as_str(),
                attack.code,
                "{kind}: {}\n{fault}",
                attack.body
            );
            assert!(fault.text.contains(attack.contains), "{fault}");
            assert!(
                fault.text.contains(fault.code.remedy()),
                "no remedy in: {fault}"
            );
            assert!(done.instance.is_none(), "an instance outlived its fault");
            let next = message(neighbour, b"{}", TestHost::default());
            assert_eq!(next.result, Ok(Returned::Code(5)));
            neighbour = next.instance.unwrap();
        }
    }
}

#[test]
fn limits_hold_under_fuel_too() {
    for kind in KINDS {
        let spin = linked_as(
            kind,
            EngineProfile::Metered,
            &agent("", "(loop (br 0)) (i32.const 0)"),
        );
        let limits = limits_with(Kind::Agent, &[(LimitName::Fuel, 100_000)]);
        let done = turn(&spin, &limits, TestHost::default());
        let fault = done.result.unwrap_err();
        assert_eq!(fault.code.as_str(), "fuel-limit", "{fault}");
        assert!(fault.text.contains("is 100000, as the manifest"), "{fault}");
        assert_eq!(done.usage.fuel, 100_000);
    }
}

/// Bodies that burn fuel as fast as can be, each in a loop without an end.
fn burners() -> Vec<(&'static str, String)> {
    let endless = |body: &str| format!("(loop {body} (br 0)) (i32.const 0)");
    vec![
        ("an empty loop", endless("")),
        (
            "additions",
            endless(&"(global.set $g (i64.add (global.get $g) (i64.const 3)))".repeat(64)),
        ),
        (
            "code that the compiler removes",
            endless(&"(drop (i32.const 1))".repeat(1_000_000)),
        ),
        (
            "a fill of 16 KiB",
            endless("(memory.fill (i32.const 0) (i32.const 1) (i32.const 16384))"),
        ),
        (
            "a copy of 64 KiB",
            endless("(memory.copy (i32.const 0) (i32.const 65536) (i32.const 65536))"),
        ),
    ]
}

#[test]
fn fuel_that_nobody_set_ends_no_guest_before_cpu_does() {
    for kind in KINDS {
        for (what, body) in burners() {
            let text = agent("(global $g (mut i64) (i64.const 0))", &body);
            for profile in [EngineProfile::Metered, EngineProfile::Deterministic] {
                let burner = linked_as(kind, profile, &text);
                let limits = limits_with(Kind::Agent, &[(LimitName::Cpu, 30_000)]);
                let done = turn(&burner, &limits, TestHost::default());
                let fault = done.result.unwrap_err();
                assert_eq!(fault.code.as_str(), "cpu-limit", "{kind}: {what}: {fault}");
                #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
                let rate = done.usage.fuel as f64 / done.usage.cpu_nanos as f64;
                println!("{kind}, {profile}: {what}: {rate:.1} G a second");
            }
        }
    }
}

#[test]
fn the_initial_size_is_bounded_too() {
    for kind in KINDS {
        let big = r#"(module (memory (export "memory") 1000)
            (func (export "caxton_alloc") (param i32) (result i32) (i32.const 64))
            (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#;
        let fault = start(&linked(kind, big), &agent_limits()).unwrap_err();
        assert_eq!(fault.code.as_str(), "memory-limit", "{fault}");
        let table = agent("(table 30000 funcref)", "(i32.const 0)");
        let fault = start(&linked(kind, &table), &agent_limits()).unwrap_err();
        assert_eq!(fault.code.as_str(), "table-limit", "{fault}");
    }
}

#[test]
fn a_start_function_has_limits() {
    let text = agent("(func $spin (loop (br 0))) (start $spin)", "(i32.const 0)");
    for kind in KINDS {
        let limits = limits_with(Kind::Agent, &[(LimitName::Cpu, 20_000)]);
        let fault = start(&linked(kind, &text), &limits).unwrap_err();
        assert_eq!(fault.code.as_str(), "cpu-limit");
    }
}

#[test]
fn a_memory_larger_than_a_slot_moves_out_of_the_slab() {
    // Writes a mark, grows by 100 MiB, reads the mark and the last byte.
    let text = agent(
        "",
        "(i32.store (i32.const 0) (i32.const 9))
         (if (i32.eq (memory.grow (i32.const 1600)) (i32.const -1)) (then unreachable))
         (i32.add (i32.load (i32.const 0)) (i32.load8_u (i32.const 104988670)))",
    );
    let limits = limits_with(Kind::Agent, &[(LimitName::Memory, 200 << 20)]);
    let done = turn(&linked(KINDS[0], &text), &limits, TestHost::default());
    assert_eq!(done.result, Ok(Returned::Code(9)));
}

#[test]
fn a_small_declared_maximum_does_not_open_the_slot() {
    // Reads just past its one page: the slab's pages behind it are mapped, the check must see it.
    for declared in ["1 1", "1 2", "1 100", "1"] {
        let text = format!(
            r#"(module (memory (export "memory") {declared})
                 (func (export "caxton_alloc") (param i32) (result i32) (i32.const 64))
                 (func (export "handle_message") (param i32 i32) (result i32) (i32.load (i32.const 65533))))"#
        );
        for kind in KINDS {
            let fault = turn(&linked(kind, &text), &agent_limits(), TestHost::default())
                .result
                .unwrap_err();
            assert_eq!(fault.code.as_str(), "trap", "{declared}");
            assert!(fault.text.contains("out of bounds"), "{fault}");
        }
    }
}

#[test]
fn endless_loops_share_their_thread() {
    let spin = linked(KINDS[0], &agent("", "(loop (br 0)) (i32.const 0)"));
    let good = linked(KINDS[0], &agent("", "(i32.const 5)"));
    let limits = limits_with(Kind::Agent, &[(LimitName::Cpu, 30_000)]);
    let mut futures: Vec<std::pin::Pin<Box<dyn Future<Output = Turn>>>> = Vec::new();
    for linked in [&spin, &spin, &good, &spin] {
        let instance = start(linked, &limits).unwrap();
        let call = caxton_engine::Call::Message("{}".into());
        let future = instance.call(call, Box::new(TestHost::default()));
        futures.push(Box::pin(async move { future.await.into() }));
    }
    let done = run_all(futures);
    assert_eq!(done[2].result, Ok(Returned::Code(5)));
    for i in [0, 1, 3] {
        assert_eq!(
            done[i].result.as_ref().unwrap_err().code.as_str(),
            "cpu-limit"
        );
        assert!(done[i].usage.preemptions > 5, "{:?}", done[i].usage);
    }
}

#[test]
fn a_young_turn_is_not_interrupted() {
    // Its own: somebody interrupts all guests of it, without end.
    let engine = Engine::new(options(KINDS[0])).unwrap();
    let count_to_500 = "(local $n i32) (loop $more (br_if $more (i32.lt_u
        (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 500)))) (i32.const 5)";
    let young = linked_on(&engine, EngineProfile::Hardened, &agent("", count_to_500));
    let over = AtomicBool::new(false);
    let turns: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                engine.preempt();
            }
        });
        let turns = (0..100).map(|_| turn(&young, &agent_limits(), TestHost::default()));
        let turns = turns.collect();
        over.store(true, Ordering::Relaxed);
        turns
    });
    assert!(turns.iter().all(|t| t.result == Ok(Returned::Code(5))));
    // A few may have been kept from running by the machine, for longer than they are young.
    let whole = turns.iter().filter(|t| t.usage.preemptions == 0).count();
    assert!(whole >= 50, "{whole} of 100");
}

#[test]
fn a_stack_that_went_deep_is_given_back_after_the_turn() {
    let text = agent(
        "(func $deep (param i32) (result i64) (if (result i64) (local.get 0)
           (then (i64.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i64.const 1))) (else (i64.const 0))))",
        "(drop (call $deep (i32.load8_u (local.get $ptr)))) (i32.const 1)",
    )
    .replace("(i32.load8_u (local.get $ptr))", "(i32.mul (i32.load8_u (local.get $ptr)) (i32.const 50))");
    let linked = linked(KINDS[0], &text);
    let done = turn(&linked, &agent_limits(), TestHost::default());
    // `{` is 123: 6,150 frames are more than 200 KiB.
    assert_eq!(done.result, Ok(Returned::Code(1)));
    let mut instance = done.instance.unwrap();
    let after_deep = instance.stack_resident_bytes();
    assert!((1..=64 << 10).contains(&after_deep), "{after_deep}");
    instance.trim();
    assert_eq!(instance.stack_resident_bytes(), 0);
    let done = message(instance, b"\x01", TestHost::default());
    assert_eq!(done.result, Ok(Returned::Code(1)), "a trimmed stack works");
    let mut instance = done.instance.unwrap();
    assert!(instance.stack_resident_bytes() > 0);
    instance.trim();
    instance.trim();
    // As deep as the limit lets it: the guard stands again, and what lies below it is nobody's.
    let done = message(instance, b"\xff", TestHost::default());
    assert_eq!(
        done.result,
        Ok(Returned::Code(1)),
        "a stack that is trimmed twice works"
    );
}

#[test]
fn an_agent_whose_memory_was_packed_goes_on_where_it_was() {
    for kind in KINDS {
        // Writes what it is given into its last page, and answers what it was given before.
        let text = agent(
            "",
            "(local $was i32) (local.set $was (i32.load8_u (i32.const 65535)))
             (i32.store8 (i32.const 65535) (i32.load8_u (local.get $ptr)))
             (drop (memory.grow (i32.const 1)))
             (local.get $was)",
        );
        let done = turn(&linked(kind, &text), &agent_limits(), TestHost::default());
        let mut instance = done.instance.unwrap();
        let mut was = i32::from(b'{');
        for next in [1_u8, 2, 3] {
            let bytes = instance.memory_bytes();
            instance.trim();
            instance.pack();
            instance.pack();
            assert!(instance.is_packed());
            assert_eq!(instance.memory_bytes(), bytes, "as its limits have it");
            let done = message(instance, &[next], TestHost::default());
            assert_eq!(done.result, Ok(Returned::Code(was)));
            instance = done.instance.unwrap();
            assert!(!instance.is_packed());
            was = i32::from(next);
        }
    }
}

#[test]
fn agents_beyond_their_places_are_refused_until_one_is_free() {
    let few = caxton_engine::EngineOptions {
        agents_max: 2,
        ..options(KINDS[0])
    };
    let engine = caxton_engine::Engine::new(few).unwrap();
    let module = verified(&agent("", "(i32.const 5)"));
    let compiled = engine
        .compile(&module, EngineProfile::Hardened, Kind::Agent)
        .unwrap();
    let linked = engine
        .link(&compiled, &caxton_model::Permissions::new())
        .unwrap();
    let [one, two] = [(), ()].map(|()| turn(&linked, &agent_limits(), TestHost::default()));
    assert!(one.result.is_ok() && two.result.is_ok());
    let fault = turn(&linked, &agent_limits(), TestHost::default())
        .result
        .unwrap_err();
    assert_eq!(fault.code.as_str(), "node-budget", "{fault}");
    drop(one);
    assert!(
        turn(&linked, &agent_limits(), TestHost::default())
            .result
            .is_ok()
    );
}
