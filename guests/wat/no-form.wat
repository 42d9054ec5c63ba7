;; Refused: its exports fit no form.
(module
  (memory (export "memory") 3)
  (func (export "run") (result i32) (i32.const 0))
)
