;; Marks each message's tag in state, passes it on, answers, and marks it again when its timer fires.
;;
;; Content: `{"tag": N}`, with `"to": NAME` it is passed on, with `"after": MICROS` a timer is set. A
;; message with `reply_with` is answered. Marks are pages of 1,000 digits under `mPPPP` (messages)
;; and `fPPPP` (timers): what came twice shows as a 2, what was lost as a 0.
(module
  (import "caxton" "load_data" (func $load (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "caxton" "set_timer" (func $timer (param i64) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\"tag\":")
  (data (i32.const 16) "\"to\":\"")
  (data (i32.const 32) "\"after\":")
  (data (i32.const 48) "\"sender\":\"")
  (data (i32.const 64) "\"reply_with\":\"")
  (data (i32.const 96) "{\"performative\":\"inform\",\"receiver\":\"")
  (data (i32.const 160) "\",\"in_reply_to\":\"")
  (data (i32.const 192) "\",\"content\":{\"tag\":")
  (data (i32.const 224) "}}")
  (global $out (mut i32) (i32.const 0))
  ;; Messages come at 16384, pages are made at 8192, messages to send at 4096.
  (func (export "allocate") (param i32) (result i32) (i32.const 16384))

  ;; Where the bytes behind a needle are; 0: it is not there.
  (func $find (param $at i32) (param $end i32) (param $needle i32) (param $length i32) (result i32)
    (local $i i32)
    (loop $next
      (if (i32.gt_u (i32.add (local.get $at) (local.get $length)) (local.get $end))
        (then (return (i32.const 0))))
      (local.set $i (i32.const 0))
      (block $differs
        (loop $same
          (br_if $differs (i32.ne
            (i32.load8_u (i32.add (local.get $at) (local.get $i)))
            (i32.load8_u (i32.add (local.get $needle) (local.get $i)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $same (i32.lt_u (local.get $i) (local.get $length))))
        (return (i32.add (local.get $at) (local.get $length))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  (func $number (param $at i32) (result i32)
    (local $n i32) (local $digit i32)
    (loop $next
      (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
      (if (i32.lt_u (local.get $digit) (i32.const 10))
        (then
          (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10)) (local.get $digit)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.get $n))

  (func $put (param $at i32) (param $length i32)
    (memory.copy (global.get $out) (local.get $at) (local.get $length))
    (global.set $out (i32.add (global.get $out) (local.get $length))))

  ;; Puts the text that begins here, up to its quote.
  (func $put_text (param $at i32)
    (local $length i32)
    (loop $next
      (if (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $length))) (i32.const 34))
        (then (local.set $length (i32.add (local.get $length) (i32.const 1))) (br $next))))
    (call $put (local.get $at) (local.get $length)))

  (func $put_digits (param $at i32)
    (local $length i32)
    (loop $next
      (if (i32.lt_u (i32.sub (i32.load8_u (i32.add (local.get $at) (local.get $length)))
                             (i32.const 48)) (i32.const 10))
        (then (local.set $length (i32.add (local.get $length) (i32.const 1))) (br $next))))
    (call $put (local.get $at) (local.get $length)))

  ;; One more at a tag's digit; 0, or 1 if it could not be stored.
  (func $mark (param $kind i32) (param $tag i32) (result i32)
    (local $page i32) (local $at i32)
    (local.set $page (i32.div_u (local.get $tag) (i32.const 1000)))
    (i32.store8 (i32.const 8000) (local.get $kind))
    (local.set $at (i32.const 8004))
    (loop $digit
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.rem_u (local.get $page) (i32.const 10))))
      (local.set $page (i32.div_u (local.get $page) (i32.const 10)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $digit (i32.gt_u (local.get $at) (i32.const 8000))))
    (if (i32.ne (call $load (i32.const 8000) (i32.const 5) (i32.const 8192) (i32.const 1000))
                (i32.const 1000))
      (then (memory.fill (i32.const 8192) (i32.const 48) (i32.const 1000))))
    (local.set $at (i32.add (i32.const 8192) (i32.rem_u (local.get $tag) (i32.const 1000))))
    (i32.store8 (local.get $at) (i32.add (i32.load8_u (local.get $at)) (i32.const 1)))
    (i32.lt_s (call $store (i32.const 8000) (i32.const 5) (i32.const 8192) (i32.const 1000))
              (i32.const 0)))

  (func (export "handle_message") (param $at i32) (param $length i32) (result i32)
    (local $end i32) (local $tag i32) (local $to i32) (local $after i32)
    (local $sender i32) (local $reply i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (local.set $tag (call $find (local.get $at) (local.get $end) (i32.const 0) (i32.const 6)))
    (if (i32.eqz (local.get $tag)) (then (return (i32.const 1))))
    (if (call $mark (i32.const 109) (call $number (local.get $tag)))
      (then (return (i32.const 1))))
    (local.set $to (call $find (local.get $at) (local.get $end) (i32.const 16) (i32.const 6)))
    (if (local.get $to) (then
      (global.set $out (i32.const 4096))
      (call $put (i32.const 96) (i32.const 37))
      (call $put_text (local.get $to))
      (call $put (i32.const 192) (i32.const 19))
      (call $put_digits (local.get $tag))
      (call $put (i32.const 224) (i32.const 2))
      (if (i32.lt_s (call $send (i32.const 4096) (i32.sub (global.get $out) (i32.const 4096)))
                    (i32.const 0))
        (then (return (i32.const 1))))))
    (local.set $after (call $find (local.get $at) (local.get $end) (i32.const 32) (i32.const 8)))
    (if (local.get $after) (then
      (i32.store8 (i32.const 7000) (i32.const 116))
      (i32.store (i32.const 7001)
        (call $timer (i64.extend_i32_u (call $number (local.get $after)))))
      (if (i32.lt_s (i32.load (i32.const 7001)) (i32.const 0)) (then (return (i32.const 1))))
      (i32.store (i32.const 7008) (call $number (local.get $tag)))
      (if (i32.lt_s (call $store (i32.const 7000) (i32.const 5) (i32.const 7008) (i32.const 4))
                    (i32.const 0))
        (then (return (i32.const 1))))))
    (local.set $reply (call $find (local.get $at) (local.get $end) (i32.const 64) (i32.const 14)))
    (local.set $sender (call $find (local.get $at) (local.get $end) (i32.const 48) (i32.const 10)))
    (if (local.get $reply) (then
      (global.set $out (i32.const 4096))
      (call $put (i32.const 96) (i32.const 37))
      (call $put_text (local.get $sender))
      (call $put (i32.const 160) (i32.const 17))
      (call $put_text (local.get $reply))
      (call $put (i32.const 192) (i32.const 19))
      (call $put_digits (local.get $tag))
      (call $put (i32.const 224) (i32.const 2))
      (return (i32.lt_s (call $send (i32.const 4096) (i32.sub (global.get $out) (i32.const 4096)))
                        (i32.const 0)))))
    (i32.const 0))

  (func (export "handle_timer") (param $id i32) (result i32)
    (i32.store8 (i32.const 7000) (i32.const 116))
    (i32.store (i32.const 7001) (local.get $id))
    (if (i32.ne (call $load (i32.const 7000) (i32.const 5) (i32.const 7008) (i32.const 4))
                (i32.const 4))
      (then (return (i32.const 1))))
    (call $mark (i32.const 102) (i32.load (i32.const 7008)))))
