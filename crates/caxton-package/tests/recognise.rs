//! What is recognised, and what is refused with which reasons.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use caxton_model::{EngineProfile, ErrorCode, Kind, Permission};
use caxton_package::{Form, ModuleReport, OFFERED, VerifyError, WASI_P1, inspect, verify};

fn report(text: &str) -> ModuleReport {
    inspect(&wat::parse_str(text).unwrap())
}

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

#[test]
fn components_are_named_and_refused_for_now() {
    let component = |export: &str| {
        format!(
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f"))) (instance $x (export "run" (func $f)))
            (export "{export}" (instance $x)))"#
        )
    };
    for (export, form) in [
        ("wasi:http/incoming-handler@0.2.0", Form::HttpComponent),
        ("wasi:http/handler@0.3.0", Form::HttpComponent),
        ("wasi:cli/run@0.2.0", Form::WasiCommandComponent),
        ("caxton:agent/handler@1.0.0", Form::CaxtonComponent),
        (
            "dagwood:component/processing-node@1.0.0",
            Form::ProcessingNodeComponent,
        ),
    ] {
        let words = ["components are not supported by this version"];
        let report = refused(&component(export), ErrorCode::UnsupportedModule, &words);
        assert_eq!(report.form, Some(form));
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
            (import "wasi_snapshot_preview1" "fd_wrote" (func))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32)))
            (import "caxton" "store_data" (func (param i64)))
            {MEMORY} {HANDLE})"#
    );
    let words = [
        "`env.sendmessage` is not offered (did you mean `send_message`?)",
        "`env.fopen` is not offered",
        "`mystery.f` is not offered",
        "`env.table` is no function",
        "`wasi_snapshot_preview1.fd_wrote` is not offered (did you mean `fd_write`?)",
        "`wasi_snapshot_preview1.fd_write` is (i32, i32, i32, i32) -> i32, imported as (i32)",
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
fn a_right_is_refused_by_its_permissions_name() {
    for (name, ty, permission) in [
        ("http_request", "(param i32 i32) (result i32)", "http:read"),
        (
            "host_network_request",
            "(param i32 i32) (result i32)",
            "http:write",
        ),
        (
            "vault_get",
            "(param i32 i32 i32 i32) (result i32)",
            "vault:read",
        ),
        (
            "vault_put",
            "(param i32 i32 i32 i32) (result i32)",
            "vault:write",
        ),
        (
            "event_emit",
            "(param i32 i32 i32 i32) (result i32)",
            "event:emit",
        ),
        (
            "data_put",
            "(param i32 i32 i32 i32) (result i32)",
            "data:write",
        ),
    ] {
        let text = format!(r#"(module (import "env" "{name}" (func {ty})) {MEMORY} {HANDLE})"#);
        refused(&text, ErrorCode::PermissionRequired, &[name, permission]);
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
    let text = r#"(module (import "env" "fopen" (func)) (import "env" "vault_get" (func (param i32 i32 i32 i32) (result i32)))
        (import "env" "set_timer" (func (param i64) (result i32))) (memory 1)
        (func (drop (memory.size)))
        (func (export "handle_message") (param i32) (result i32) (i32.const 0)))"#;
    let bytes = wat::parse_str(text).unwrap();
    let error = verify(bytes, 1 << 20).unwrap_err();
    let text = error.to_string();
    for words in [
        "reasons to refuse",
        "env.fopen",
        "vault:read",
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
fn features_name_the_profile_or_the_refusal() {
    let second = format!("(module {MEMORY} (memory 1) {HANDLE})");
    let report = accepted(&second);
    assert_eq!(report.profile, EngineProfile::Wide);
    assert_eq!(report.profile_features, ["several memories"]);
    for (text, feature) in [
        (
            format!("(module (memory (export \"memory\") 1 1 shared) {HANDLE})"),
            "threads",
        ),
        (
            format!("(module (memory (export \"memory\") i64 1) {HANDLE})"),
            "64-bit memories",
        ),
    ] {
        refused(
            &text,
            ErrorCode::UnsupportedModule,
            &["no engine profile allows", feature],
        );
    }
    let simd = format!(
        r#"(module {MEMORY} {HANDLE} (func (result v128) (v128.const i32x4 1 2 3 4))
            (func $t (return_call $t)) (table 2 funcref) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))"#
    );
    assert_eq!(accepted(&simd).profile, EngineProfile::Hardened);
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
    let error = verify(vec![0; 100], 99).unwrap_err();
    assert!(matches!(error, VerifyError::TooLarge { .. }));
    assert!(
        error
            .to_string()
            .contains("`module_bytes` is 99 bytes, the module has 100 bytes"),
        "{error}"
    );
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
