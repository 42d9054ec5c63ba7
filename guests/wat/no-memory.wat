;; Refused: no memory is exported.
(module
  (memory 1)
  (func $handle_message (export "handle_message") (param i32 i32) (result i32)

    (i32.const 0))
)
