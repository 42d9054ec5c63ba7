;; Refused: a function of the host's under a type that it does not have.
(module
  (import "caxton" "send_message" (func $send (param i64 f32) (result i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (func (export "handle_message") (param i32 i32) (result i32)
    (call $send (i64.const 0) (f32.const 0)))
)
