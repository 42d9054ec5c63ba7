;; Refused: more memories than one.
(module
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (memory 1) (memory 1) (memory 1)
  (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0))
)
