;; Sends text that is no message and answers the code, negated: 2.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 16) "{not json")
  (func (export "handle_message") (param i32 i32) (result i32)
    (i32.sub (i32.const 0) (call $send (i32.const 16) (i32.const 9))))
)
