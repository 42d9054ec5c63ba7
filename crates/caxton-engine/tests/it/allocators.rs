//! Every way a guest may hand out memory.

use caxton_engine::Returned;
use caxton_package::Allocator;

use crate::harness::*;

/// The message's first byte, so that a wrong place is seen.
const HANDLE: &str = r#"(func (export "handle_message") (param i32 i32) (result i32)
    (i32.add (i32.load8_u (local.get 0)) (i32.mul (global.get $freed) (i32.const 1000))))
  (global $freed (mut i32) (i32.const 0))"#;

#[test]
fn all_conventions_are_found_and_used() {
    let bump = "(result i32) (i32.const 70000)";
    let freed = "(global.set $freed (i32.add (global.get $freed) (i32.const 1)))";
    let table: Vec<(String, Allocator, bool)> = vec![
        (
            format!(
                r#"(func (export "caxton_alloc") (param i32) {bump}) (func (export "caxton_free") (param i32 i32) {freed})"#
            ),
            Allocator::Caxton { free: true },
            true,
        ),
        (
            format!(r#"(func (export "caxton_alloc") (param i32) {bump})"#),
            Allocator::Caxton { free: false },
            false,
        ),
        (
            format!(
                r#"(func (export "allocate") (param i32) {bump}) (func (export "deallocate") (param i32 i32) {freed})"#
            ),
            Allocator::Allocate { free: true },
            true,
        ),
        (
            format!(
                r#"(func (export "malloc") (param i32) {bump}) (func (export "free") (param i32) {freed})"#
            ),
            Allocator::Malloc { free: true },
            true,
        ),
        (
            format!(
                r#"(func (export "__wbindgen_malloc") (param i32 i32) {bump}) (func (export "__wbindgen_free") (param i32 i32 i32) {freed})"#
            ),
            Allocator::Wbindgen {
                malloc_align: true,
                free_align: Some(true),
            },
            true,
        ),
        (
            format!(
                r#"(func (export "__wbindgen_malloc") (param i32) {bump}) (func (export "__wbindgen_free") (param i32 i32) {freed})"#
            ),
            Allocator::Wbindgen {
                malloc_align: false,
                free_align: Some(false),
            },
            true,
        ),
        (
            format!(r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) {bump})"#),
            Allocator::CabiRealloc,
            false,
        ),
        (
            format!(
                r#"(func (export "__new") (param i32 i32) {bump}) (func (export "__pin") (param i32) (result i32) (local.get 0))
                   (func (export "__unpin") (param i32) {freed})"#
            ),
            Allocator::AssemblyScript,
            true,
        ),
        (String::new(), Allocator::Region, false),
        // A name with an unfitting type is passed over.
        (
            format!(
                r#"(func (export "caxton_alloc")) (func (export "malloc") (param i32) {bump})"#
            ),
            Allocator::Malloc { free: false },
            false,
        ),
    ];
    for kind in KINDS {
        for (exports, wanted, frees) in &table {
            let text = format!(r#"(module (memory (export "memory") 2) {exports} {HANDLE})"#);
            assert_eq!(
                verified(&text).report().allocator,
                Some(*wanted),
                "{exports}"
            );
            let mut instance = start(&linked(kind, &text), &agent_limits()).unwrap();
            for n in 0..3 {
                let turn = message(instance, b"ABC", TestHost::default());
                let wanted = 65 + if *frees { n * 1000 } else { 0 };
                assert_eq!(turn.result, Ok(Returned::Code(wanted)), "{exports}");
                instance = turn.instance.unwrap();
            }
        }
    }
}

#[test]
fn the_region_grows_with_the_largest_message_and_counts_as_memory() {
    let text = format!(r#"(module (memory (export "memory") 1) {HANDLE})"#);
    let instance = start(&linked(KINDS[0], &text), &agent_limits()).unwrap();
    let first = message(instance, b"A", TestHost::default());
    assert_eq!(first.usage.memory_bytes, 2 * 65_536);
    let second = message(first.instance.unwrap(), &[66; 200_000], TestHost::default());
    assert_eq!(second.result, Ok(Returned::Code(66)));
    assert_eq!(second.usage.memory_bytes, 5 * 65_536);
    let third = message(second.instance.unwrap(), b"C", TestHost::default());
    assert_eq!(
        (third.result, third.usage.memory_bytes),
        (Ok(Returned::Code(67)), 5 * 65_536)
    );
}

#[test]
fn a_guest_that_asks_for_its_memorys_end_must_export_an_allocator() {
    for body in ["(drop (memory.size))", "(drop (memory.grow (i32.const 1)))"] {
        let text = format!(r#"(module (memory (export "memory") 1) (func {body}) {HANDLE})"#);
        let error = try_verify(&text).unwrap_err();
        assert!(
            error.to_string().contains("exports no allocator"),
            "{error}"
        );
    }
}

#[test]
fn an_allocator_that_lies_is_a_fault_by_name() {
    for (ptr, what) in [
        ("0", "null"),
        ("-1", "outside its memory"),
        ("131071", "outside its memory"),
    ] {
        let text = format!(
            r#"(module (memory (export "memory") 2)
                 (func (export "malloc") (param i32) (result i32) (i32.const {ptr})) {HANDLE})"#
        );
        for kind in KINDS {
            let fault = turn(&linked(kind, &text), &agent_limits(), TestHost::default())
                .result
                .unwrap_err();
            assert_eq!(fault.code.as_str(), "bad-allocator");
            assert!(fault.text.contains(what), "{fault}");
        }
    }
}
