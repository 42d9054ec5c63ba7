;; Refused: a shared memory needs another engine profile.
(module
  (memory (export "memory") 1 1 shared)
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)

    (i32.const 0))
)
