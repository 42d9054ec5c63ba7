;; Hostile: sends a message whose content is nested 5,000 levels deep, and logs the answer as a digit
;; after "code -". Refused as malformed.
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
  (data (i32.const 1000) "{\22performative\22:\22inform\22,\22receiver\22:\22sink\22,\22content\22:")
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $code i32)
    (memory.fill (i32.const 1053) (i32.const 91) (i32.const 5000))
    (memory.fill (i32.const 6053) (i32.const 93) (i32.const 5000))
    (i32.store8 (i32.const 11053) (i32.const 125))
    (local.set $code (call $send (i32.const 1000) (i32.const 10054)))
    (i32.store8 (i32.const 262) (i32.sub (i32.const 48) (local.get $code)))
    (call $log (i32.const 256) (i32.const 7))
    (i32.const 0))
)
