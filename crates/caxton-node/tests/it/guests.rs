//! Guests as text, one behaviour each.

/// Counts its messages under the key `n`, and tells whoever asked as `tester`.
pub(crate) const COUNTER: &str = r#"(module
  (import "caxton" "load_data" (func $load (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "n")
  (data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"tester\",\"in_reply_to\":\"q1\",\"content\":0000}")
  (func (export "allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "deallocate") (param i32 i32))
  (func $digit (param $at i32) (param $value i32)
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10)))))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $n i32)
    (drop (call $load (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4)))
    (local.set $n (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (i32.store (i32.const 8) (local.get $n))
    (drop (call $store (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4)))
    ;; a leading digit keeps it JSON: 1000 + n
    (i32.store8 (i32.const 90) (i32.const 49))
    (call $digit (i32.const 91) (i32.div_u (local.get $n) (i32.const 100)))
    (call $digit (i32.const 92) (i32.div_u (local.get $n) (i32.const 10)))
    (call $digit (i32.const 93) (local.get $n))
    (call $send (i32.const 16) (i32.const 79))))"#;

/// Executes `unreachable` at every message.
pub(crate) const TRAPS: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "deallocate") (param i32 i32))
  (func $inner unreachable)
  (func (export "handle_message") (param i32 i32) (result i32) (call $inner) (i32.const 0)))"#;

/// Computes for ever.
pub(crate) const SPINS: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "deallocate") (param i32 i32))
  (func (export "handle_message") (param i32 i32) (result i32) (loop (br 0)) (i32.const 0)))"#;

/// Its init says no.
pub(crate) const REFUSES: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "agent_init") (result i32) (i32.const 7))
  (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#;

/// At a message it sets a timer; when that fires it tells `tester`.
pub(crate) const TIMER: &str = r#"(module
  (import "caxton" "set_timer" (func $set (param i64) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"tester\",\"in_reply_to\":\"q1\",\"content\":\"rang\"}")
  (func (export "allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "handle_message") (param i32 i32) (result i32)
    (drop (call $set (i64.const 20000))) (i32.const 0))
  (func (export "handle_timer") (param i32) (result i32)
    (call $send (i32.const 16) (i32.const 81))))"#;

/// Subscribes to broadcasts of `somebody`, who does not exist.
pub(crate) const SUBSCRIBES_TO_NOBODY: &str = r#"(module
  (import "caxton" "subscribe_messages" (func $subscribe (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"name\":\"somebody\"}")
  (func (export "allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "agent_init") (result i32)
    (i32.lt_s (call $subscribe (i32.const 16) (i32.const 19)) (i32.const 0)))
  (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#;

/// Says farewell to whoever asked as `tester`, then ends itself with code 0.
pub(crate) const ENDS_ITSELF: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"tester\",\"in_reply_to\":\"q1\",\"content\":\"bye\"}")
  (func (export "allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "handle_message") (param i32 i32) (result i32)
    (drop (call $send (i32.const 16) (i32.const 80)))
    (call $exit (i32.const 0))
    (i32.const 0)))"#;

/// Thinks for most of a second, then answers whoever asked as `tester`.
pub(crate) const THINKS: &str = r#"(module
  (import "caxton" "sleep_micros" (func $sleep (param i64)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"tester\",\"in_reply_to\":\"q1\",\"content\":\"yes\"}")
  (func (export "allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "handle_message") (param i32 i32) (result i32)
    (call $sleep (i64.const 800000))
    (call $send (i32.const 16) (i32.const 80))))"#;

/// Its init takes most of a second.
pub(crate) const STARTS_SLOWLY: &str = r#"(module
  (import "caxton" "sleep_micros" (func $sleep (param i64)))
  (memory (export "memory") 1)
  (func (export "allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "agent_init") (result i32) (call $sleep (i64.const 800000)) (i32.const 0))
  (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))"#;
