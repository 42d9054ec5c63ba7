;; Reads the clock and random bytes, asks twice for URLs that name both, and tells `ann` what came back.
;;
;; Each URL is what `config_get("url")` names, then 32 hexadecimal digits of time and chance, then `/1`
;; or `/2`. Returns 0 minus the code of `http_request` where that is negative.
(module
  (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "http_request" (func $http (param i32 i32) (result i32)))
  (import "caxton" "read_response" (func $read (param i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "url")
  (data (i32.const 100) "{\"method\":\"GET\",\"url\":\"")
  (data (i32.const 1000) "{\"performative\":\"inform\",\"receiver\":\"ann\",\"content\":[")
  (global $out (mut i32) (i32.const 0))
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 131072))
  (func (export "caxton_free") (param i32 i32))

  (func $put (param $byte i32)
    (i32.store8 (global.get $out) (local.get $byte))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))

  ;; A digit, as a letter from `a` to `p`.
  (func $digit (param $n i32)
    (call $put (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15)))))

  ;; Writes time and chance behind the configured URL, from the bytes at 16.
  (func $name
    (local $i i32)
    (global.set $out
      (i32.add (i32.const 123)
        (call $config (i32.const 0) (i32.const 3) (i32.const 123) (i32.const 500))))
    (loop $next
      (call $digit (i32.load8_u (i32.add (i32.const 16) (local.get $i))))
      (call $digit (i32.shr_u (i32.load8_u (i32.add (i32.const 16) (local.get $i))) (i32.const 4)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 16)))))

  ;; Asks for the URL with that last digit, and puts the response at the place given; where it ends.
  (func $ask (param $last i32) (param $at i32) (result i32)
    (local $code i32)
    (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 16)))
    (call $name)
    (call $put (i32.const 47))
    (call $put (local.get $last))
    (call $put (i32.const 34))
    (call $put (i32.const 125))
    (local.set $code (call $http (i32.const 100) (i32.sub (global.get $out) (i32.const 100))))
    (if (local.get $code) (then (return (i32.sub (i32.const 0) (local.get $code)))))
    (i32.add (local.get $at) (call $read (local.get $at) (i32.const 60000))))

  (func (export "handle_message") (param i32 i32) (result i32)
    (local $end i32)
    (drop (call $random (i32.const 24) (i32.const 8)))
    (local.set $end (call $ask (i32.const 49) (i32.const 1053)))
    (if (i32.lt_u (local.get $end) (i32.const 1053)) (then (return (local.get $end))))
    (i32.store8 (local.get $end) (i32.const 44)) ;; ,
    (local.set $end (call $ask (i32.const 50) (i32.add (local.get $end) (i32.const 1))))
    (if (i32.lt_u (local.get $end) (i32.const 1053)) (then (return (local.get $end))))
    (i32.store16 (local.get $end) (i32.const 0x7d5d)) ;; ]}
    (drop (call $send (i32.const 1000) (i32.sub (local.get $end) (i32.const 998))))
    (i32.const 0)))
