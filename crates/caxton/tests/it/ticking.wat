;; Counts its timers under `count` (32 bits, little-endian), each set 100 ms after the one before, and
;; tells `quiet` of each; a timer that it could not tell of does not count, and is the last.
;; A message sets the first one.
(module
  (import "caxton" "load_data" (func $load (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "caxton" "set_timer" (func $timer (param i64) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "count")
  (data (i32.const 32) "{\"performative\":\"inform\",\"receiver\":\"quiet\",\"content\":1}")
  (func (export "allocate") (param i32) (result i32) (i32.const 16384))
  (func $again (result i32)
    (i32.lt_s (call $timer (i64.const 100000)) (i32.const 0)))
  (func (export "handle_message") (param i32 i32) (result i32) (call $again))
  (func (export "handle_timer") (param i32) (result i32)
    (if (i32.lt_s (call $send (i32.const 32) (i32.const 56)) (i32.const 0)) (then (unreachable)))
    (i32.store (i32.const 8) (i32.const 0))
    (drop (call $load (i32.const 0) (i32.const 5) (i32.const 8) (i32.const 4)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (if (i32.lt_s (call $store (i32.const 0) (i32.const 5) (i32.const 8) (i32.const 4))
                  (i32.const 0))
      (then (return (i32.const 1))))
    (call $again)))
