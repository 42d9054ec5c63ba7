;; Imports from `env`, and `send_message` without a result: both link.
(module
  (import "env" "send_message" (func $send (param i32 i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 16) "{\22performative\22:\22inform\22,\22receiver\22:\22sink\22,\22content\22:1}")
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)
    (call $send (i32.const 16) (i32.const 55))
    (i32.const 0))
)
