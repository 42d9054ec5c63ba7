;; Does what its message says with shared tables, and answers `ann` with what came of each.
;;
;; The content is a list without spaces: ["p",ROW,VALUE] puts, ["g",ROW] gets, ["d",ROW] deletes,
;; ["l",QUERY] lists, ["k",ROW] puts what was read last, ["m",MESSAGE] sends, ["q",{}] has it answer
;; nobody, ["t"] traps. No value may have a `]` in it.
(module
  (import "caxton" "data_get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "data_put" (func $put (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "data_delete" (func $delete (param i32 i32) (result i32)))
  (import "caxton" "data_list" (func $list (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 64)
  (data (i32.const 0) "{\"performative\":\"inform\",\"receiver\":\"ann\",\"in_reply_to\":\"")
  (data (i32.const 100) "\",\"content\":[")
  (global $out (mut i32) (i32.const 0))
  (global $read (mut i32) (i32.const 0))
  (global $quiet (mut i32) (i32.const 0))
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 1048576)) (then (unreachable)))
    (i32.const 131072))
  (func (export "caxton_free") (param i32 i32))
  (func $byte (param $byte i32)
    (i32.store8 (global.get $out) (local.get $byte))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))
  (func $copy (param $from i32) (param $length i32)
    (memory.copy (global.get $out) (local.get $from) (local.get $length))
    (global.set $out (i32.add (global.get $out) (local.get $length))))
  ;; The place of the first eight bytes that are these.
  (func $find (param $at i32) (param $bytes i64) (result i32)
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (local.get $bytes))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.get $at))
  ;; Behind the object that begins here.
  (func $object (param $at i32) (result i32)
    (local $depth i32) (local $byte i32)
    (loop $next
      (local.set $byte (i32.load8_u (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (if (i32.eq (local.get $byte) (i32.const 123))
        (then (local.set $depth (i32.add (local.get $depth) (i32.const 1)))))
      (if (i32.eq (local.get $byte) (i32.const 125))
        (then (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))))
      (br_if $next (local.get $depth)))
    (local.get $at))
  ;; The place of the first such byte.
  (func $until (param $at i32) (param $byte i32) (result i32)
    (loop $next
      (if (i32.ne (i32.load8_u (local.get $at)) (local.get $byte))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.get $at))
  ;; Says a code, or that so many bytes were put behind what was said.
  (func $said (param $result i32)
    (if (i32.lt_s (local.get $result) (i32.const 0))
      (then
        (call $byte (i32.const 45))
        (call $byte (i32.sub (i32.const 48) (local.get $result))))
      (else (global.set $out (i32.add (global.get $out) (local.get $result))))))
  (func $code (param $result i32)
    (if (local.get $result)
      (then (call $said (local.get $result)))
      (else (call $byte (i32.const 48)))))
  (func (export "handle_message") (param $message i32) (param $length i32) (result i32)
    (local $at i32) (local $act i32) (local $row i32) (local $size i32) (local $end i32)
    (global.set $out (i32.const 2097152))
    (global.set $quiet (i32.const 0))
    ;; `content"` of `content":[[`
    (local.set $at (i32.add (i32.const 10) (call $find (local.get $message) (i64.const 0x22746e65746e6f63))))
    (loop $acts
      (local.set $act (i32.load8_u offset=2 (local.get $at)))
      (if (i32.eq (local.get $act) (i32.const 116)) (then (unreachable)))
      (local.set $row (i32.add (local.get $at) (i32.const 5)))
      (local.set $end (call $object (local.get $row)))
      (local.set $size (i32.sub (local.get $end) (local.get $row)))
      (local.set $at (call $until (local.get $end) (i32.const 93)))
      (if (i32.eq (local.get $act) (i32.const 112)) ;; p
        (then
          (local.set $end (i32.add (local.get $end) (i32.const 1)))
          (call $code (call $put (local.get $row) (local.get $size)
            (local.get $end) (i32.sub (local.get $at) (local.get $end))))))
      (if (i32.eq (local.get $act) (i32.const 103)) ;; g
        (then
          (global.set $read (global.get $out))
          (call $said (call $get (local.get $row) (local.get $size)
            (global.get $out) (i32.const 100000)))))
      (if (i32.eq (local.get $act) (i32.const 107)) ;; k
        (then (call $code (call $put (local.get $row) (local.get $size)
          (global.get $read) (i32.sub (i32.sub (global.get $out) (global.get $read)) (i32.const 1))))))
      (if (i32.eq (local.get $act) (i32.const 113)) ;; q
        (then
          (global.set $quiet (i32.const 1))
          (call $byte (i32.const 48))))
      (if (i32.eq (local.get $act) (i32.const 108)) ;; l
        (then (call $said (call $list (local.get $row) (local.get $size)
          (global.get $out) (i32.const 1048576)))))
      (if (i32.eq (local.get $act) (i32.const 100)) ;; d
        (then (call $code (call $delete (local.get $row) (local.get $size)))))
      (if (i32.eq (local.get $act) (i32.const 109)) ;; m
        (then (call $code (call $send (local.get $row) (local.get $size)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 44))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (call $byte (i32.const 44))
          (br $acts))))
    (call $byte (i32.const 93))
    (call $byte (i32.const 125))
    (if (global.get $quiet) (then (return (i32.const 0))))
    (local.set $end (global.get $out))
    (global.set $out (i32.const 3145728))
    (call $copy (i32.const 0) (i32.const 57))
    ;; `ly_with"` of `reply_with":"`
    (local.set $at (i32.add (i32.const 10) (call $find (local.get $message) (i64.const 0x22687469775f796c))))
    (call $copy (local.get $at)
      (i32.sub (call $until (local.get $at) (i32.const 34)) (local.get $at)))
    (call $copy (i32.const 100) (i32.const 13))
    (call $copy (i32.const 2097152) (i32.sub (local.get $end) (i32.const 2097152)))
    (drop (call $send (i32.const 3145728) (i32.sub (global.get $out) (i32.const 3145728))))
    (i32.const 0)))
