//! What is recognised, and what is refused with which reasons.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use caxton_model::{EngineProfile, ErrorCode, Kind, LimitName, Limits, Permission};
use caxton_package::{Form, ModuleReport, OFFERED, WASI_P1, component_wit, inspect, verify};

fn report(text: &str) -> ModuleReport {
    let mut bytes = wat::parse_str(text).unwrap();
    // The text format has no words for the legacy exceptions: `(block nop)` becomes a `try`.
    if text.contains(LEGACY) {
        let block = [0x02, 0x40, 0x01, 0x0b];
        let at = bytes.windows(4).position(|at| at == block).unwrap();
        bytes[at..at + 4].copy_from_slice(&[0x06, 0x40, 0x19, 0x0b]);
    }
    inspect(&bytes)
}

const LEGACY: &str = "(func $legacy (block nop))";

#[track_caller]
fn accepted(text: &str) -> ModuleReport {
    let report = report(text);
    assert!(report.reasons.is_empty(), "{report}");
    report
}

#[track_caller]
fn refused(text: &str, code: ErrorCode, words: &[&str]) -> ModuleReport {
    let report = report(text);
    let found = report
        .reasons
        .iter()
        .find(|reason| reason.code == code && words.iter().all(|word| reason.text.contains(word)));
    let found =
        found.unwrap_or_else(|| panic!("no {code} with {words:?} in {:#?}", report.reasons));
    assert!(!found.remedy.is_empty());
    report
}

const MEMORY: &str = r#"(memory (export "memory") 1)"#;
const HANDLE: &str =
    r#"(func (export "handle_message") (param i32 i32) (result i32) (i32.const 0))"#;

#[test]
fn the_forms_are_told_apart_by_their_exports() {
    let allocator = r#"(func (export "allocate") (param i32) (result i32) (i32.const 1))
        (func (export "deallocate") (param i32 i32))"#;
    for (exports, form, kind) in [
        (HANDLE.to_owned(), Form::AgentCore, Kind::Agent),
        (
            format!(
                r#"{allocator} (func (export "process") (param i32) (result i32) (i32.const 1))"#
            ),
            Form::ProcessorCString,
            Kind::Processor,
        ),
        (
            format!(
                r#"{allocator} (func (export "process") (param i32 i32 i32) (result i32) (i32.const 1))"#
            ),
            Form::ProcessorLength,
            Kind::Processor,
        ),
        (
            r#"(func (export "_start"))"#.to_owned(),
            Form::WasiCommand,
            Kind::Processor,
        ),
        (
            r#"(func (export "extension_describe") (param i32 i32) (result i32) (i32.const 1))
               (func (export "extension_call") (param i32 i32) (result i32) (i32.const 1))"#
                .to_owned(),
            Form::ExtensionCore,
            Kind::Extension,
        ),
    ] {
        let report = accepted(&format!("(module {MEMORY} {exports})"));
        assert_eq!((report.form, report.kind), (Some(form), Some(kind)));
    }
}

/// A component with these exports, each an instance with one function.
fn component(exports: &[&str]) -> Vec<u8> {
    let exports: String = exports
        .iter()
        .map(|export| format!(r#"(export "{export}" (instance $x))"#))
        .collect();
    let text = format!(
        r#"(component (import "wasi:cli/environment@0.2.3" (instance))
            (core module $m (func (export "f"))) (core instance $i (instantiate $m))
            (component (core module))
            (func $f (canon lift (core func $i "f"))) (instance $x (export "run" (func $f))) {exports})"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn a_component_has_its_most_specific_form_and_is_refused_for_now() {
    let command = "wasi:cli/run@0.2.0";
    let wanted = [
        (
            vec!["wasi:http/incoming-handler@0.2.0"],
            Form::HttpComponent,
            Kind::App,
        ),
        (
            vec![command, "wasi:http/handler@0.3.0"],
            Form::HttpComponent,
            Kind::App,
        ),
        (vec![command], Form::WasiCommandComponent, Kind::Processor),
        (
            vec![
                command,
                "wasi:http/handler@0.3.0",
                "caxton:agent/handler@1.0.0",
            ],
            Form::CaxtonComponent,
            Kind::Agent,
        ),
        (
            vec!["caxton:processor/processor@1.0.0"],
            Form::CaxtonComponent,
            Kind::Processor,
        ),
        (
            vec!["caxton:extension/extension@1.0.0"],
            Form::CaxtonComponent,
            Kind::Extension,
        ),
        (
            vec![command, "dagwood:component/processing-node@1.0.0"],
            Form::ProcessingNodeComponent,
            Kind::Processor,
        ),
    ];
    for (mut exports, form, kind) in wanted {
        for _ in 0..exports.len() {
            exports.rotate_left(1);
            let report = inspect(&component(&exports));
            let found = (report.form, report.kind);
            assert_eq!(found, (Some(form), Some(kind)), "{exports:?}");
            let text = &report.reasons[0].text;
            let words = "components are not supported by this version";
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn a_component_shows_its_world_and_nothing_that_is_not_known() {
    let bytes = component(&["wasi:cli/run@0.2.3", "wasi:http/handler@0.3.0"]);
    let mut report = inspect(&bytes);
    let wit = component_wit(&bytes).unwrap();
    let found = report.component.as_mut().unwrap();
    assert_eq!(found.imports, ["wasi:cli/environment@0.2.3"]);
    assert_eq!(
        found.exports,
        ["wasi:cli/run@0.2.3", "wasi:http/handler@0.3.0"]
    );
    assert!(found.wasi_versions.iter().eq(["0.2.3", "0.3.0"]));
    assert_eq!((found.module_bytes.len(), found.components), (2, 1));
    for words in [
        "import wasi:cli/environment@0.2.3;",
        "export wasi:cli/run@0.2.3;",
        "package wasi:cli@0.2.3 {",
        "run: func();",
    ] {
        assert!(wit.contains(words), "{wit}");
    }
    found.wit = Some(wit);
    let shown = report.to_string();
    for words in [
        "wasi       0.2.3, 0.3.0",
        "imports    1",
        "exports    2",
        "run: func();",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let json = serde_json::to_value(&report).unwrap();
    for unknown in ["profile", "imports", "exports", "memories", "debug"] {
        let word = format!("\n{unknown} ");
        assert!(json.get(unknown).is_none(), "{unknown}: {json}");
        let in_both = ["imports", "exports"].contains(&unknown);
        assert!(in_both || !shown.contains(&word), "{shown}");
    }
}

#[test]
fn the_types_of_a_world_are_written_as_wit_writes_them() {
    let text = r#"(component
        (import "test:api/types@1.0.0" (instance $types
          (export "blob" (type $blob (sub resource)))
          (type $point (record (field "x" u32) (field "y" (option string))))
          (export "point" (type $p (eq $point)))
          (type $kind (enum "small" "large")) (export "kind" (type $k (eq $kind)))
          (type $rights (flags "read" "write")) (export "rights" (type (eq $rights)))
          (type $shape (variant (case "none") (case "some" $p))) (export "shape" (type $s (eq $shape)))
          (type $list (list u8)) (type $own (own $blob)) (type $borrow (borrow $blob))
          (export "[constructor]blob" (func (param "init" $list) (result $own)))
          (export "[method]blob.read" (func (param "self" $borrow) (param "n" u64) (result (result $list (error $k)))))
          (export "measure" (func (param "of" $s) (result (tuple f32 char)))))))"#;
    let wit = component_wit(&wat::parse_str(text).unwrap()).unwrap();
    for words in [
        "import test:api/types@1.0.0;",
        "package test:api@1.0.0 {\n  interface types {\n",
        "resource blob {\n      constructor(init: list<u8>);",
        "read: func(n: u64) -> result<list<u8>, kind>;",
        "record point { x: u32, y: option<string> }",
        "enum kind { small, large }",
        "flags rights { read, write }",
        "variant shape { none, some(point) }",
        "measure: func(of: shape) -> tuple<f32, char>;",
    ] {
        assert!(wit.contains(words), "{words} in {wit}");
    }
}

#[test]
fn a_damaged_component_is_damaged() {
    let good = component(&["wasi:cli/run@0.2.3"]);
    for at in 9..good.len() {
        let report = inspect(&good[..at]);
        let (code, text) = (report.reasons[0].code, &report.reasons[0].text);
        // A cut between two sections may leave a valid component.
        if code == ErrorCode::InvalidModule {
            assert!(text.starts_with("not a valid component"), "{text}");
            assert!(report.form.is_none() && report.component.is_none());
        } else {
            assert!(report.component.is_some(), "{at}");
        }
    }
    let half = inspect(&good[..good.len() / 2]);
    assert_eq!(half.reasons[0].code, ErrorCode::InvalidModule);
}

#[test]
fn a_module_that_is_not_valid_shows_no_facts() {
    let good = wat::parse_str(format!("(module {MEMORY} {HANDLE})")).unwrap();
    let report = inspect(&good[..good.len() - 2]);
    let shown = report.to_string();
    for unknown in ["profile", "imports", "exports", "debug"] {
        assert!(!shown.contains(unknown), "{shown}");
        assert!(
            serde_json::to_value(&report)
                .unwrap()
                .get(unknown)
                .is_none()
        );
    }
}

#[test]
fn bytes_that_are_no_module_are_refused() {
    for bytes in [
        &b""[..],
        b"#!/bin/sh",
        b"(module)",
        b"\0asm",
        b"\0asm\x01\0\0\0\xff\xff\xff\xff",
    ] {
        let report = inspect(bytes);
        assert_eq!(
            report.reasons[0].code,
            ErrorCode::InvalidModule,
            "{bytes:?}"
        );
    }
    let good = wat::parse_str(format!("(module {MEMORY} {HANDLE})")).unwrap();
    // Every cut and every flipped bit: refused or recognised, never a panic.
    for at in 0..good.len() {
        let _ = inspect(&good[..at]);
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let _ = inspect(&bytes);
        }
    }
}

#[test]
fn all_unmet_imports_stand_in_one_reason() {
    let text = format!(
        r#"(module (import "env" "sendmessage" (func (param i32 i32)))
            (import "env" "fopen" (func (param i32) (result i32)))
            (import "mystery" "f" (func)) (import "env" "table" (table 1 funcref))
            (import "wasi_snapshot_preview1" "fd_wrote" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32)))
            (import "caxton" "store_data" (func (param i64)))
            {MEMORY} {HANDLE})"#
    );
    let words = [
        "`env.sendmessage` is not offered (did you mean `env.send_message`?)",
        "`env.fopen` is not offered",
        "`mystery.f` is not offered",
        "`env.table` is no function",
        "`wasi_snapshot_preview1.fd_wrote` is not offered (did you mean `wasi_snapshot_preview1.fd_write`?)",
        "`wasi_snapshot_preview1.fd_write` is offered as (i32, i32, i32, i32) -> i32, imported as (i32)",
        "`caxton.store_data` is offered as (i32, i32, i32, i32) -> i32 or (i32, i32, i32, i32), imported as (i64)",
    ];
    let report = refused(&text, ErrorCode::UnmetImport, &words);
    assert_eq!(report.reasons.len(), 1);
}

#[test]
fn imports_of_wasm_bindgen_name_the_remedy() {
    for (module, name) in [
        ("wbg", "__wbg_log_1234"),
        ("__wbindgen_placeholder__", "__wbindgen_describe"),
        ("env", "__wbindgen_throw"),
    ] {
        let text = format!(r#"(module (import "{module}" "{name}" (func)) {MEMORY} {HANDLE})"#);
        let report = refused(&text, ErrorCode::UnmetImport, &["wasm-bindgen"]);
        assert!(report.reasons[0].remedy.contains("caxton-sdk"));
    }
}

#[test]
fn a_right_is_named_by_its_permission() {
    let text = format!(
        r#"(module (import "env" "http_request" (func (param i32 i32) (result i32))) {MEMORY} {HANDLE})"#
    );
    assert_eq!(accepted(&text).permissions, [Permission::HttpRead]);
    for (name, permission) in [
        ("vault_get", Permission::VaultRead),
        ("vault_put", Permission::VaultWrite),
        ("event_emit", Permission::EventEmit),
        ("data_get", Permission::DataRead),
        ("data_put", Permission::DataWrite),
    ] {
        let text = format!(
            r#"(module (import "env" "{name}" (func (param i32 i32 i32 i32) (result i32))) {MEMORY} {HANDLE})"#
        );
        assert_eq!(accepted(&text).permissions, [permission]);
    }
    let text = format!(
        r#"(module (import "env" "send_message" (func (param i32 i32)))
            (import "env" "subscribe_messages" (func (param i32 i32) (result i32))) {MEMORY} {HANDLE})"#
    );
    let wanted = [Permission::MessageSend, Permission::MessageListen];
    assert_eq!(accepted(&text).permissions, wanted);
}

#[test]
fn one_name_with_two_types_is_refused() {
    let text = format!(
        r#"(module (import "env" "send_message" (func (param i32 i32)))
            (import "env" "send_message" (func (param i32 i32) (result i32))) {MEMORY} {HANDLE})"#
    );
    refused(
        &text,
        ErrorCode::UnsupportedModule,
        &["one name with two types", "env.send_message"],
    );
    let same = format!(
        r#"(module (import "env" "send_message" (func (param i32 i32)))
            (import "env" "send_message" (func (param i32 i32))) {MEMORY} {HANDLE})"#
    );
    accepted(&same);
}

#[test]
fn several_reasons_come_at_once() {
    let text = r#"(module (import "env" "fopen" (func))
        (import "env" "set_timer" (func (param i64) (result i32))) (memory 1)
        (func (drop (memory.size)))
        (func (export "handle_message") (param i32) (result i32) (i32.const 0)))"#;
    let bytes = wat::parse_str(text).unwrap();
    let error = verify(bytes, &Limits::for_kind(Kind::Agent)).unwrap_err();
    let text = error.to_string();
    for words in [
        "reasons to refuse",
        "env.fopen",
        "does not export its memory",
        "exports `handle_message(i32) -> i32`, the interface wants `handle_message(i32, i32) -> i32`",
        "imports `set_timer` but does not export `handle_timer`",
        "exports no allocator",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

#[test]
fn wrong_types_of_optional_exports_are_refused() {
    for (name, wanted) in [
        ("agent_init", "agent_init() -> i32"),
        ("handle_timer", "handle_timer(i32) -> i32"),
        ("get_capabilities", "get_capabilities(i32, i32) -> i32"),
        ("migrate", "migrate(i32, i32) -> i32"),
        ("_initialize", "_initialize()"),
    ] {
        let text = format!(
            r#"(module {MEMORY} {HANDLE} (func (export "{name}") (param f64) (result f64) (f64.const 0)))"#
        );
        refused(&text, ErrorCode::UnsupportedModule, &[wanted]);
    }
}

#[test]
fn near_names_are_offered_only_where_they_would_link() {
    let told = |module: &str, name: &str, ty: &str| {
        let text =
            format!(r#"(module (import "{module}" "{name}" (func {ty})) {MEMORY} {HANDLE})"#);
        report(&text).reasons[0].text.clone()
    };
    for (module, name, ty, near) in [
        (
            "env",
            "sendmessage",
            "(param i32 i32) (result i32)",
            "env.send_message",
        ),
        (
            "caxton",
            "send_mesage",
            "(param i32 i32)",
            "caxton.send_message",
        ),
        (
            "host",
            "send_message",
            "(param i32 i32)",
            "env.send_message",
        ),
        (
            "wasi_snapshot_preview",
            "fd_close",
            "(param i32) (result i32)",
            "wasi_snapshot_preview1.fd_close",
        ),
    ] {
        let text = told(module, name, ty);
        assert!(text.contains(&format!("did you mean `{near}`?")), "{text}");
    }
    for (module, name, ty) in [
        // Another type than the near name's.
        ("env", "sendmessage", "(param f64)"),
        // The near name needs a right that can't be granted.
        ("host", "http_request", "(param i32 i32) (result i32)"),
        ("env", "http_requests", "(param i32 i32) (result i32)"),
        // A near name under a module name that is not near.
        (
            "mystery_module",
            "config_get",
            "(param i32 i32 i32 i32) (result i32)",
        ),
        ("extism:host/env", "config_get", "(param i64) (result i64)"),
        ("bench", "end", "(result f64)"),
    ] {
        let text = told(module, name, ty);
        assert!(!text.contains("did you mean"), "{text}");
    }
}

#[test]
fn imports_of_other_systems_are_named_with_the_next_step() {
    for (module, name, system, step) in [
        ("extism:host/env", "input_length", "Extism", "caxton-sdk"),
        ("env", "extism_log_info", "Extism", "caxton-sdk"),
        (
            "env",
            "emscripten_memcpy_js",
            "emscripten",
            "STANDALONE_WASM",
        ),
        ("a", "b", "emscripten", "STANDALONE_WASM"),
        ("wbg", "__wbg_log", "wasm-bindgen", "caxton-sdk"),
        ("env", "__memory_base", "dynamic linking", "statically"),
        ("GOT.func", "f", "dynamic linking", "statically"),
        ("zellij", "host_run_plugin_command", "Zellij", "Zellij"),
        ("bench", "start", "benchmark harness", "without the harness"),
        ("gojs", "runtime.wasmExit", "Go", "GOOS=wasip1"),
        ("wasi_unstable", "fd_write", "preview 0", "wasm32-wasip1"),
    ] {
        let text = format!(
            r#"(module (import "{module}" "{name}" (func)) (import "env" "fopen" (func)) {MEMORY} {HANDLE})"#
        );
        let report = refused(&text, ErrorCode::UnmetImport, &[system, name]);
        let found = report
            .reasons
            .iter()
            .find(|reason| reason.text.contains(system));
        assert!(found.unwrap().remedy.contains(step), "{report}");
        // What no system explains has a reason of its own.
        refused(
            &text,
            ErrorCode::UnmetImport,
            &["`env.fopen` is not offered"],
        );
    }
}

#[test]
fn long_lists_are_cut_with_a_count() {
    for (module, prefix) in [("mystery", "f"), ("env", "emscripten_"), ("wbg", "g")] {
        let mut text = String::from("(module ");
        for n in 0..80 {
            text.push_str(&format!(r#"(import "{module}" "{prefix}{n}" (func))"#));
        }
        refused(
            &format!("{text} {MEMORY} {HANDLE})"),
            ErrorCode::UnmetImport,
            &[&format!("{prefix}49"), "and 30 more"],
        );
    }
    let long = "x".repeat(300);
    let text = format!(r#"(module {MEMORY} {HANDLE} (func (export "{long}")))"#);
    let name = &accepted(&text).exports[2].name;
    assert!(name.ends_with("x… (300 characters)"), "{name}");
    let mut many = format!("(module {MEMORY} {HANDLE}");
    for n in 0..300 {
        many.push_str(&format!(r#"(func (export "f{n}"))"#));
    }
    let shown = accepted(&format!("{many})")).to_string();
    assert!(shown.contains("and 102 more"), "{shown}");
}

/// A module that uses one feature beyond `hardened`, and what it is called.
const FEATURES: &[(&str, &str, bool)] = &[
    ("several memories", "(memory 1)", true),
    ("64-bit memories", "(memory i64 1)", true),
    ("64-bit tables", "(table i64 1 funcref)", true),
    ("exceptions", "(tag $e) (func (throw $e))", true),
    ("external references", "(table 1 externref)", true),
    ("external references", "(func (param externref))", true),
    ("external references", "(func (local externref))", true),
    (
        "external references",
        "(func (block (result externref) (ref.null extern)) drop)",
        true,
    ),
    (
        "external references",
        "(func (drop (ref.null extern)))",
        true,
    ),
    (
        "external references",
        "(func (param i32) (drop (select (result externref) (ref.null extern) (ref.null extern) (local.get 0))))",
        true,
    ),
    (
        "external references",
        "(global externref (ref.null extern))",
        true,
    ),
    (
        "external references",
        r#"(import "env" "g" (global externref))"#,
        true,
    ),
    (
        "external references",
        "(elem externref (ref.null extern))",
        true,
    ),
    (
        "typed function references",
        "(type $t (func)) (func (param (ref null $t)))",
        true,
    ),
    ("garbage collection", "(type (struct))", true),
    ("garbage collection", "(type (array i8))", true),
    (
        "garbage collection",
        "(rec (type (func)) (type (func)))",
        true,
    ),
    ("garbage collection", "(func (param anyref))", true),
    (
        "garbage collection",
        "(global $a i32 (i32.const 1)) (global i32 (global.get $a))",
        true,
    ),
    ("shared memory", r#"(memory 1 1 shared)"#, false),
    (
        "atomic instructions",
        "(func (drop (i32.atomic.load (i32.const 0))))",
        false,
    ),
    (
        "relaxed SIMD",
        "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))",
        false,
    ),
    ("the legacy exceptions", LEGACY, false),
    (
        "wide arithmetic",
        "(func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))",
        false,
    ),
    ("custom page sizes", "(memory 1 (pagesize 1))", false),
    (
        "stack switching",
        "(type $f (func)) (type (cont $f))",
        false,
    ),
    (
        "memory control",
        "(func (memory.discard (i32.const 0) (i32.const 0)))",
        false,
    ),
    (
        "shared-everything threads",
        "(global (shared i32) (i32.const 0))",
        false,
    ),
    (
        "custom descriptors",
        "(rec (type $a (descriptor $b) (struct)) (type $b (describes $a) (struct)))",
        false,
    ),
];

#[test]
fn every_feature_is_told_by_its_name_and_its_profile() {
    for (feature, fields, wide) in FEATURES {
        // A memory of the module's own makes the feature's memory a second one.
        let memory = if fields.contains("(memory ") && *feature != "several memories" {
            ""
        } else {
            MEMORY
        };
        let text = format!("(module {fields} {memory} {HANDLE})");
        if *wide {
            let words = [*feature, "engine profile `wide`", "no engine for `wide`"];
            let report = refused(&text, ErrorCode::ProfileRequired, &words);
            assert_eq!(report.profile, EngineProfile::Wide, "{text}");
            assert!(report.profile_features.contains(feature), "{text}");
        } else {
            let words = ["no engine profile has", *feature];
            let report = refused(&text, ErrorCode::UnsupportedModule, &words);
            let other = if *feature == "shared memory" {
                "atomic"
            } else {
                "shared memory"
            };
            assert!(!report.reasons[0].text.contains(other), "{report}");
        }
    }
    let simd = format!(
        r#"(module {MEMORY} {HANDLE} (func (result v128) (v128.const i32x4 1 2 3 4))
            (func $t (return_call $t)) (table 2 funcref) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))"#
    );
    assert_eq!(accepted(&simd).profile, EngineProfile::Hardened);
}

#[test]
fn an_invalid_module_is_invalid_whatever_features_it_uses() {
    for (_, fields, _) in FEATURES {
        let memory = if fields.contains("(memory ") {
            ""
        } else {
            MEMORY
        };
        let text = format!("(module {fields} {memory} (func $wrong (result i32) (f64.const 0)))");
        let report = refused(&text, ErrorCode::InvalidModule, &["type mismatch"]);
        assert_eq!(report.reasons.len(), 1, "{report}");
        assert!(!report.reasons[0].text.contains("disallowed"), "{report}");
    }
    // The element is of another type than the table.
    let fill = r#"(module (table $t 1 externref) (func (table.fill $t (i32.const 0) (ref.null func) (i32.const 1))))"#;
    refused(fill, ErrorCode::InvalidModule, &["type mismatch"]);
}

#[test]
fn what_can_never_run_is_refused_with_its_cause() {
    let fixed = format!(r#"(module (memory (export "memory") 1 1) {HANDLE})"#);
    let words = ["exports no allocator", "cannot grow"];
    let report = refused(&fixed, ErrorCode::UnsupportedModule, &words);
    assert!(report.reasons[0].remedy.contains("allocator"), "{report}");
    accepted(&format!(
        r#"(module (memory (export "memory") 1 2) {HANDLE})"#
    ));
    let own = r#"(func (export "malloc") (param i32) (result i32) (i32.const 8))"#;
    accepted(&format!(
        r#"(module (memory (export "memory") 1 1) {own} {HANDLE})"#
    ));
    let tables = "(table 1 funcref)".repeat(18);
    let text = format!("(module {MEMORY} {tables} {HANDLE})");
    refused(
        &text,
        ErrorCode::UnsupportedModule,
        &["18 tables", "at most 4"],
    );
    let globals = "(global (mut i64) (i64.const 0))".repeat(60_000);
    let text = format!("(module {MEMORY} {globals} {HANDLE})");
    refused(&text, ErrorCode::UnsupportedModule, &["60000 globals"]);
}

#[test]
fn what_a_limit_leaves_no_room_for_is_refused_with_the_value_it_needs() {
    let judged = |fields: &str, asked: &[(LimitName, u64)]| {
        let bytes = wat::parse_str(format!("(module {fields} {HANDLE})")).unwrap();
        let mut limits = Limits::for_kind(Kind::Agent);
        for (name, value) in asked {
            limits.set(*name, *value);
        }
        verify(bytes, &limits).map_err(|error| (error.code(), error.to_string()))
    };
    let memory = r#"(memory (export "memory") 900 65536)"#;
    let table = format!("{MEMORY} (table 30000 funcref)");
    for (fields, name, needs, words) in [
        (
            memory,
            LimitName::Memory,
            57 << 20,
            ["50 MiB", "memory=57MiB"],
        ),
        (
            &table,
            LimitName::TableElements,
            30_000,
            ["20000", "table_elements=30000"],
        ),
    ] {
        let (code, text) = judged(fields, &[]).unwrap_err();
        assert_eq!(code, name.code());
        let all = [&words[..], &["[limits]"]].concat();
        assert!(all.iter().all(|words| text.contains(words)), "{text}");
        judged(fields, &[(name, needs)]).unwrap();
    }
    // A growth that the guest never asks for is no reason.
    judged(r#"(memory (export "memory") 1 65536)"#, &[]).unwrap();
}

#[test]
fn a_segment_that_does_not_fit_is_refused_and_what_runs_first_is_named() {
    for (segment, words) in [
        (
            r#"(data (i32.const 65535) "ab")"#,
            "data segment 0 reaches from 65535 to 65537, beyond the 65536 bytes",
        ),
        (
            r#"(data (i32.const 8) "a") (data (i32.sub (i32.const 0) (i32.const 1)) "a")"#,
            "data segment 1 reaches from 4294967295",
        ),
        (
            "(table 2 funcref) (func $f) (elem (i32.const 1) func $f $f)",
            "element segment 0 reaches from 1 to 3, beyond the 2 elements",
        ),
        (
            "(table 2 funcref) (elem (offset (i32.const 3)) funcref)",
            "element segment 0 reaches from 3 to 3",
        ),
    ] {
        let text = format!("(module {MEMORY} {segment} {HANDLE})");
        refused(&text, ErrorCode::InvalidModule, &[words]);
    }
    let fits = r#"(data (i32.add (i32.const 65535) (i32.const 1)) "") (data (i32.const 65535) "a")
        (table 2 funcref) (func $f) (elem (i32.const 1) func $f) (start $f)
        (func (export "agent_init") (result i32) (i32.const 0))"#;
    let report = accepted(&format!("(module {MEMORY} {fits} {HANDLE})"));
    assert_eq!(report.startup, ["its start function", "agent_init"]);
    let shown = report.to_string();
    assert!(
        shown.contains("start-up   its start function, agent_init: not run"),
        "{shown}"
    );
}

#[test]
fn a_bomb_of_names_costs_nothing() {
    // A name section that says it holds four thousand million names.
    let mut bytes = wat::parse_str(format!("(module {MEMORY} {HANDLE})")).unwrap();
    bytes.extend([
        0, 12, 4, b'n', b'a', b'm', b'e', 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f,
    ]);
    let report = inspect(&bytes);
    assert!(report.reasons.is_empty() && report.debug.names, "{report}");
    // A module of nothing but imports.
    let mut many = String::from("(module ");
    for n in 0..2_000 {
        many.push_str(&format!(r#"(import "env" "f{n}" (func))"#));
    }
    many.push(')');
    refused(
        &many,
        ErrorCode::UnsupportedModule,
        &["imports more than 1000"],
    );
}

#[test]
fn size_is_checked_before_anything_else() {
    let mut limits = Limits::for_kind(Kind::Agent);
    limits.set(LimitName::ModuleBytes, 99);
    let error = verify(vec![0; 100], &limits).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ModuleTooLarge);
    assert_eq!(error.report.reasons.len(), 1, "{error}");
    let words = [
        "100 bytes",
        "`module_bytes` is 99 bytes",
        "module_bytes=1MiB",
    ];
    let text = error.to_string();
    assert!(words.iter().all(|words| text.contains(words)), "{text}");
}

#[test]
fn every_offered_function_is_recognised_with_every_type() {
    let wat_type = |short: &str| {
        let signature = caxton_package::Signature::short(short);
        let list = |word: &str, types: &[caxton_package::ValueType]| {
            types
                .iter()
                .map(|ty| format!("({word} {ty})"))
                .collect::<String>()
        };
        format!(
            "{} {}",
            list("param", &signature.params),
            list("result", &signature.results)
        )
    };
    for row in OFFERED.iter().filter(|row| row.name != "set_timer") {
        for (module, short) in ["caxton", "env"]
            .iter()
            .flat_map(|m| row.types.iter().map(move |t| (m, t)))
        {
            if row.env_only && *module == "caxton" {
                continue;
            }
            let import = format!(
                r#"(import "{module}" "{}" (func {}))"#,
                row.name,
                wat_type(short)
            );
            let report = report(&format!("(module {import} {MEMORY} {HANDLE})"));
            assert_eq!(report.imports[0].class, Some(row.class), "{import}");
        }
    }
    for (name, short) in WASI_P1 {
        let import = format!(
            r#"(import "wasi_snapshot_preview1" "{name}" (func {}))"#,
            wat_type(short)
        );
        accepted(&format!("(module {import} {MEMORY} {HANDLE})"));
    }
}

#[test]
fn a_report_reads_well_and_is_json() {
    let text = format!(
        r#"(module (import "env" "send_message" (func (param i32 i32))) {MEMORY} {HANDLE})"#
    );
    let report = accepted(&text);
    let shown = report.to_string();
    for words in [
        "form       agent",
        "env.send_message(i32, i32)  baseline",
        "handle_message(i32, i32) -> i32",
        "accepted",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["form"], "agent-core");
    assert_eq!(json["imports"][0]["class"], "baseline");
    assert_eq!(json["permissions"][0], "message:send");
}
