;; Hostile: answers `tester` under its neighbour's name. The host writes its own over it.
(module
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (data (i32.const 16) "{\22performative\22:\22inform\22,\22receiver\22:\22tester\22,\22sender\22:\22neighbour\22,\22in_reply_to\22:\22q1\22,\22content\22:\22forged\22}")
  (func (export "handle_message") (param i32 i32) (result i32)
    (call $send (i32.const 16) (i32.const 104)))
)
