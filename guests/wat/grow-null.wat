;; Hostile: its allocator needs more than `memory` allows and answers null.
(module
  (memory (export "memory") 3)
  (func (export "caxton_alloc") (param i32) (result i32)
    (if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then (return (i32.const 0))))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)

    (i32.const 0))
)
