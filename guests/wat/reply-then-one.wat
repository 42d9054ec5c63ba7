;; Answers `tester` and then returns 1: the reply goes out, the turn is counted as an error.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 16) "{\22performative\22:\22not-understood\22,\22receiver\22:\22tester\22,\22in_reply_to\22:\22q1\22,\22content\22:\22no\22}")
  (func (export "handle_message") (param i32 i32) (result i32)
    (drop (call $send (i32.const 16) (i32.const 87)))
    (i32.const 1))
)
