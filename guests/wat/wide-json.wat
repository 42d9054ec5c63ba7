;; Hostile: sends a message with 676 fields of its own, and logs the answer as a digit after "code -".
;; Refused as malformed.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "caxton" "console_log" (func $log (param i32 i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 256) "code -0")
  (data (i32.const 300) ",\22aa\22:1")
  (data (i32.const 1000) "{\22performative\22:\22inform\22,\22receiver\22:\22sink\22")
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $at i32) (local $n i32) (local $code i32)
    (local.set $at (i32.const 1042))
    (loop $more
      (i32.store8 (i32.const 302) (i32.add (i32.const 97) (i32.div_u (local.get $n) (i32.const 26))))
      (i32.store8 (i32.const 303) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 26))))
      (memory.copy (local.get $at) (i32.const 300) (i32.const 7))
      (local.set $at (i32.add (local.get $at) (i32.const 7)))
      (br_if $more
        (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 676))))
    (i32.store8 (local.get $at) (i32.const 125))
    (local.set $code
      (call $send (i32.const 1000) (i32.sub (local.get $at) (i32.const 999))))
    (i32.store8 (i32.const 262) (i32.sub (i32.const 48) (local.get $code)))
    (call $log (i32.const 256) (i32.const 7))
    (i32.const 0))
)
