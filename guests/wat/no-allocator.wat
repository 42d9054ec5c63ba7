;; Refused: it grows its memory, so the host cannot add a region, and exports no allocator.
(module
  (memory (export "memory") 3)
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)
    (drop (memory.grow (i32.const 1)))
    (i32.const 0))
)
