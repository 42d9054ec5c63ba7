;; Hostile: 900 messages to `tester` in one turn; the first code that is not 0 is logged as a digit
;; after "code -". Stopped by `messages_per_second`.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "caxton" "console_log" (func $log (param i32 i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 16) "{\22performative\22:\22inform\22,\22receiver\22:\22tester\22,\22content\22:1}")
  (data (i32.const 256) "code -0")
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $left i32) (local $code i32)
    (local.set $left (i32.const 900))
    (loop $more
      (local.set $code (call $send (i32.const 16) (i32.const 57)))
      (if (i32.lt_s (local.get $code) (i32.const 0)) (then
        (i32.store8 (i32.const 262) (i32.sub (i32.const 48) (local.get $code)))
        (call $log (i32.const 256) (i32.const 7))
        (return (i32.const 0))))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0))
)
