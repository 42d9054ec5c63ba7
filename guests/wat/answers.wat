;; Well-behaved: answers each message with the one of its configuration.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 16) "message")
  (func (export "handle_message") (param i32 i32) (result i32)
    (call $send (i32.const 256)
      (call $config (i32.const 16) (i32.const 7) (i32.const 256) (i32.const 65280))))
)
