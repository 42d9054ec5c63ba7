//! `caxton run` with WASI commands: their output, their end, their clock and their random numbers.

use std::{path::Path, process::Stdio};

use crate::command::{Done, caxton, guest, program};

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1000) "one\n") (data (i32.const 1010) "two\n") (data (i32.const 1020) "end\n")"#;

/// A command with this body; `$say` writes four bytes to a stream.
fn command(folder: &Path, body: &str) -> String {
    let text = format!(
        r#"(module {IMPORTS}
        (func $say (param $fd i32) (param $at i32)
          (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (i32.const 4))
          (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start") (local $n i64) (local $w i32) {body}))"#
    );
    let path = folder.join("command.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn run(body: &str, more: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let path = command(folder.path(), body);
    caxton(&[&["run", &path, "--message", "x"], more].concat())
}

const SAY: &str =
    "(call $say (i32.const 1) (i32.const 1000)) (call $say (i32.const 2) (i32.const 1010))
    (call $say (i32.const 1) (i32.const 1020))";

#[test]
fn what_a_command_wrote_comes_out_before_the_error_and_its_exit_is_its_own() {
    for (end, code, passed, words) in [
        ("unreachable", 3, 3, "trap: the guest trapped"),
        ("(call $exit (i32.const 1))", 1, 1, "exited with code 1"),
        (
            "(call $exit (i32.const 126))",
            1,
            126,
            "exited with code 126",
        ),
        (
            "(call $exit (i32.const 200))",
            1,
            200,
            "exited with code 200",
        ),
        // As a shell shows them, and never as success.
        ("(call $exit (i32.const -1))", 1, 255, "exited with code -1"),
        ("(call $exit (i32.const 256))", 1, 1, "exited with code 256"),
    ] {
        let body = format!("{SAY} {end}");
        for profile in ["hardened", "deterministic"] {
            let done = run(&body, &["--engine-profile", profile]);
            let done = done.fails(code, &["error: ", words, "two\n"]);
            assert_eq!(done.stdout, "one\nend\n");
            let done = run(&body, &["--passthrough-exit-code"]).fails(passed, &[words]);
            assert_eq!(done.stdout, "one\nend\n");
        }
        let done = run(&body, &["--output", "json"]).fails(code, &[words]);
        assert_eq!(done.json()["output"], "one\nend\n");
    }
    let good = format!("{SAY} (call $exit (i32.const 0))");
    assert_eq!(
        run(&good, &["--passthrough-exit-code"]).ok().stdout,
        "one\nend\n"
    );
    caxton(&[
        "run",
        &guest("echo-c"),
        "--message",
        "{}",
        "--passthrough-exit-code",
    ])
    .fails(2, &["only a WASI command has an exit code", "help: "]);
}

#[test]
fn both_streams_come_out_in_the_order_of_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = command(folder.path(), &format!("{SAY} unreachable"));
    let both = folder.path().join("both");
    let file = std::fs::File::create(&both).unwrap();
    let ended = program(folder.path())
        .args(["run", &path, "--message", "x"])
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(3));
    let text = std::fs::read_to_string(both).unwrap();
    let at = |word| {
        text.find(word)
            .unwrap_or_else(|| panic!("no {word} in {text}"))
    };
    assert!(
        at("one") < at("two") && at("two") < at("end") && at("end") < at("error: trap"),
        "{text}"
    );
}

#[test]
fn many_small_writes_are_no_host_calls() {
    let body = "(loop (call $say (i32.const 1) (i32.const 1000))
        (local.set $w (i32.add (local.get $w) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $w) (i32.const 12000))))";
    assert_eq!(run(body, &[]).ok().stdout.len(), 48_000);
    let limit = ["--limit", "payload_bytes=4000"];
    let done = run(body, &limit).fails(3, &["payload_bytes"]);
    assert_eq!(done.stdout.len(), 4_000);
}

/// Writes 16 random bytes as they are.
const RANDOM: &str = "(drop (call $random (i32.const 2000) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 2000)) (i32.store (i32.const 4) (i32.const 16))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";

#[test]
fn random_numbers_are_the_machines_except_under_deterministic() {
    let digest = |more: &[&str]| {
        let more = [&["--output", "json"], more].concat();
        run(RANDOM, &more).ok().json()["output_digest"].to_string()
    };
    assert_ne!(digest(&[]), digest(&[]));
    let metered = ["--engine-profile", "metered"];
    assert_ne!(digest(&metered), digest(&metered));
    let deterministic = ["--engine-profile", "deterministic"];
    assert_eq!(digest(&deterministic), digest(&deterministic));
}

/// Reads a clock into a place.
fn read(clock: u32, at: u32) -> String {
    format!("(drop (call $clock (i32.const {clock}) (i64.const 0) (i32.const {at})))")
}

#[test]
fn clocks_move_over_a_wait_and_while_they_are_read() {
    let sleep = "(i32.store (i32.const 116) (i32.const 1)) (i64.store (i32.const 124) (i64.const 300000000))
        (drop (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300)))";
    // Until the clock shows 300 ms more.
    let spin = |clock| {
        let (first, again) = (read(clock, 32), read(clock, 40));
        format!(
            "{first} (loop {again} (br_if 0 (i64.lt_u (i64.sub (i64.load (i32.const 40)) (i64.load (i32.const 32))) (i64.const 300000000))))"
        )
    };
    let waits = [sleep.to_owned(), spin(0), spin(1)];
    for wait in &waits {
        for clock in [0, 1] {
            // Traps unless the clock moved by 300 ms to a minute.
            let (before, after) = (read(clock, 16), read(clock, 24));
            let body = format!(
                "{before} {wait} {after}
                 (local.set $n (i64.sub (i64.load (i32.const 24)) (i64.load (i32.const 16))))
                 (if (i64.lt_u (local.get $n) (i64.const 300000000)) (then unreachable))
                 (if (i64.gt_u (local.get $n) (i64.const 60000000000)) (then unreachable))"
            );
            for profile in ["hardened", "metered", "deterministic"] {
                run(&body, &["--engine-profile", profile]).ok();
            }
        }
    }
}

#[test]
fn cpu_ends_a_program_that_nobody_gave_fuel() {
    let body = format!(
        "(loop {} (br 0))",
        "(global.set $g (i64.add (global.get $g) (i64.const 3)))".repeat(32)
    );
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"(module (global $g (mut i64) (i64.const 0)) (memory (export "memory") 1) (func (export "_start") {body}))"#
    );
    let path = folder.path().join("burn.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let path = path.to_str().unwrap();
    for profile in ["hardened", "metered", "deterministic"] {
        let args = [
            "run",
            path,
            "--message",
            "x",
            "--limit",
            "cpu=200ms",
            "--engine-profile",
            profile,
        ];
        caxton(&args).fails(3, &["limit `cpu` is 200ms"]);
    }
    let args = [
        "run",
        path,
        "--message",
        "x",
        "--limit",
        "fuel=1000",
        "--engine-profile",
        "metered",
    ];
    caxton(&args).fails(3, &["limit `fuel` is 1000, as the manifest, `--limit`"]);
}
