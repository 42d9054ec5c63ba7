;; Hostile: one instruction that fills all its memory, again and again. Stopped by `cpu`.
(module
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)
    (drop (memory.grow (i32.const 700)))
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
      (br $again))
    (i32.const 0))
)
