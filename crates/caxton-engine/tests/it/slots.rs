//! Nothing of a guest is found by the next one in its place: memory, tables, globals; after good
//! ends, after faults, and after calls that were dropped. One place, so that each round reuses it.
//!
//! What stood on a guest's machine stack can't be asked for by another: locals begin as zero, and
//! no instruction reads the stack.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use bytes::Bytes;
use caxton_engine::{Call, Engine, EngineOptions, Linked};
use caxton_model::{EngineKind, EngineProfile, Kind, LimitName, Limits, Permissions};

use crate::harness::*;

/// Places are the same under both engines, which differ in speed: fewer rounds where guests are
/// interpreted.
const fn rounds_of(engine: EngineKind) -> usize {
    match engine {
        EngineKind::Cranelift => 10_000,
        EngineKind::Pulley => 500,
    }
}

/// Every so many rounds the guests are large: beyond what a pool keeps of a slot (1 MiB).
const LARGE_EVERY: usize = 50;

/// How the first guest ends, by the first byte of what it is given.
const ENDS: [(u8, Option<&str>); 6] = [
    (b'0', None),
    (b'1', Some("trap")),
    (b'2', Some("trap")),
    (b'3', Some("stack-limit")),
    (b'4', Some("memory-limit")),
    (b'5', CUT_OFF),
];

/// It is dropped while it runs.
const CUT_OFF: Option<&str> = Some("cut off");

struct Shape {
    pages: u32,
    elements: u32,
}
const SMALL: Shape = Shape {
    pages: 2,
    elements: 64,
};
const LARGE: Shape = Shape {
    pages: 24,
    elements: 5_000,
};

/// The function that the host calls, and its answer: `$found` where it is the second guest's.
fn exported(kind: Kind, body: &str) -> String {
    match kind {
        Kind::Agent => format!(
            r#"(func (export "handle_message") (param $p i32) (param $n i32) (result i32)
                 {body} (global.get $found))"#
        ),
        _ => format!(
            r#"(func (export "process") (param $p i32) (param $n i32) (param $out i32) (result i32)
                 {body} (i32.store (i32.const 16) (global.get $found))
                 (i32.store (local.get $out) (i32.const 4)) (i32.const 16))"#
        ),
    }
}

/// Fills everything it has with a mark, then ends as it is told.
fn marks(kind: Kind, shape: &Shape) -> String {
    let (pages, elements) = (shape.pages, shape.elements);
    let body = format!(
        r#"(local.set $n (i32.load8_u (local.get $p)))
        (drop (memory.grow (i32.const {pages})))
        (table.fill (i32.const 0) (ref.func $deep) (i32.const {elements}))
        (global.set $a (i64.const -1)) (global.set $b (f64.const 3)) (global.set $c (ref.func $deep))
        ;; Where the output's length goes stays writable; everything is marked.
        (memory.fill (i32.const 0) (i32.const 0xa5) (i32.mul (memory.size) (i32.const 65536)))
        (if (i32.eq (local.get $n) (i32.const 49)) (then unreachable))
        (if (i32.eq (local.get $n) (i32.const 50)) (then (drop (i32.load (i32.const -4)))))
        (if (i32.eq (local.get $n) (i32.const 51)) (then (drop (call $deep (i64.const 0)))))
        (if (i32.eq (local.get $n) (i32.const 52)) (then
          (if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then unreachable))))
        (if (i32.eq (local.get $n) (i32.const 53)) (then (loop $ever (br $ever))))"#
    );
    format!(
        r#"(module (memory (export "memory") 2) (table {elements} funcref)
          (global $a (mut i64) (i64.const 0)) (global $b (mut f64) (f64.const 0))
          (global $c (mut funcref) (ref.null func)) (global $found (mut i32) (i32.const 0))
          (func $deep (param i64) (result i64)
            (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
          (elem declare func $deep)
          (global $top (mut i32) (i32.const 1024))
          (func (export "allocate") (param i32) (result i32)
            (global.set $top (i32.add (global.get $top) (i32.const 64))) (global.get $top))
          (func (export "deallocate") (param i32 i32))
          {})"#,
        exported(kind, &body)
    )
}

/// Counts what is not zero, before anybody has written: in its start function.
fn looks(kind: Kind, shape: &Shape) -> String {
    let (pages, elements) = (shape.pages, shape.elements);
    format!(
        r#"(module (memory (export "memory") 2) (table {elements} funcref)
          (global $a (mut i64) (i64.const 0)) (global $b (mut f64) (f64.const 0))
          (global $c (mut funcref) (ref.null func)) (global $found (mut i32) (i32.const 0))
          (func $note (global.set $found (i32.add (global.get $found) (i32.const 1))))
          (func $look (local $at i32)
            (drop (memory.grow (i32.const {pages})))
            (loop $words
              (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (call $note)))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $words (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
            (local.set $at (i32.const 0))
            (loop $elements
              (if (i32.eqz (ref.is_null (table.get (local.get $at)))) (then (call $note)))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (br_if $elements (i32.lt_u (local.get $at) (i32.const {elements}))))
            (if (i64.ne (global.get $a) (i64.const 0)) (then (call $note)))
            (if (f64.ne (global.get $b) (f64.const 0)) (then (call $note)))
            (if (i32.eqz (ref.is_null (global.get $c))) (then (call $note))))
          (start $look)
          (global $top (mut i32) (i32.const 1024))
          (func (export "allocate") (param i32) (result i32)
            (global.set $top (i32.add (global.get $top) (i32.const 64))) (global.get $top))
          (func (export "deallocate") (param i32 i32))
          {})"#,
        exported(kind, "")
    )
}

struct Pair {
    marks: Linked,
    looks: Linked,
}

/// An engine with one place, and its guests, small and large.
fn pairs(engine: EngineKind, kind: Kind) -> [Pair; 2] {
    let engine = Engine::new(EngineOptions {
        pool_slots: 1,
        agents_max: 1,
        ..options(engine)
    })
    .unwrap();
    let link = |text: String| {
        let compiled = engine
            .compile(&verified(&text), EngineProfile::Hardened, kind)
            .unwrap();
        engine.link(&compiled, &Permissions::new()).unwrap()
    };
    [SMALL, LARGE].map(|shape| Pair {
        marks: link(marks(kind, &shape)),
        looks: link(looks(kind, &shape)),
    })
}

/// Time enough for everybody, memory for none of the wild growths.
fn limits(kind: Kind) -> Limits {
    let time = [(LimitName::Cpu, 20_000_000), (LimitName::Wall, 40_000_000)];
    limits_with(kind, &time)
}

/// Polls once, as a shard does that then cuts the turn off.
fn cut_off<T>(future: impl Future<Output = T>) {
    run(async {
        let mut future = pin!(future);
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "it ended before it was cut off");
    });
}

fn rounds(engine: EngineKind, kind: Kind, round: impl Fn(&Pair, &Limits, u8, Option<&str>) -> i64) {
    let pairs = pairs(engine, kind);
    let limits = limits(kind);
    for n in 0..rounds_of(engine) {
        let pair = &pairs[usize::from(n % LARGE_EVERY == 0)];
        // Being cut off takes a tick of the clock each time: now and then is enough.
        let (input, end) = match ENDS[n % ENDS.len()] {
            (_, CUT_OFF) if n % (ENDS.len() * 10) != ENDS.len() - 1 => ENDS[0],
            end => end,
        };
        let found = round(pair, &limits, input, end);
        assert_eq!(found, 0, "{engine} {kind}, round {n} after {end:?}");
    }
}

fn processors(pair: &Pair, limits: &Limits, input: u8, end: Option<&str>) -> i64 {
    let host = || Box::new(TestHost::default());
    let input = Bytes::copy_from_slice(&[input]);
    let marking = pair.marks.process(input, None, limits, host());
    if end == CUT_OFF {
        cut_off(marking);
    } else {
        let fault = run(marking).result.err();
        assert_eq!(
            fault.as_ref().map(|fault| fault.code.as_str()),
            end,
            "{fault:?}"
        );
    }
    let looking = pair.looks.process(Bytes::new(), None, limits, host());
    let found = run(looking).result.unwrap();
    i64::from(u32::from_le_bytes(found.try_into().unwrap()))
}

fn agents(pair: &Pair, limits: &Limits, input: u8, end: Option<&str>) -> i64 {
    let instance = start(&pair.marks, limits).unwrap();
    if end == CUT_OFF {
        let call = Call::Message(Bytes::copy_from_slice(&[input]));
        cut_off(instance.call(call, Box::new(TestHost::default())));
    } else {
        let mut done = message(instance, &[input], TestHost::default());
        // A place is as empty after a guest that was packed.
        if let Some(instance) = &mut done.instance {
            instance.pack();
        }
        let fault = done.result.err();
        assert_eq!(
            fault.as_ref().map(|fault| fault.code.as_str()),
            end,
            "{fault:?}"
        );
    }
    let done = turn(&pair.looks, limits, TestHost::default());
    match done.result.unwrap() {
        caxton_engine::Returned::Code(found) => i64::from(found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pooled_slot_keeps_nothing_for_the_next_guest_in_10_000_rounds() {
    for engine in KINDS {
        rounds(engine, Kind::Processor, processors);
    }
}

#[test]
fn an_agents_place_in_the_slab_keeps_nothing_for_the_next_in_10_000_rounds() {
    for engine in KINDS {
        rounds(engine, Kind::Agent, agents);
    }
}

#[test]
fn who_looks_finds_what_is_there() {
    // The same look at memory that somebody wrote: else the rounds above could not fail.
    for engine in KINDS {
        let text = looks(Kind::Agent, &SMALL).replace(
            "(start $look)",
            "(data (i32.const 200) \"mark\")(start $look)",
        );
        let done = turn(&linked(engine, &text), &agent_limits(), TestHost::default());
        assert_eq!(done.result, Ok(caxton_engine::Returned::Code(1)));
    }
}
