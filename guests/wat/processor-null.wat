;; A C-string processor that answers null: its own failure.
(module
  (memory (export "memory") 3)
  (func (export "allocate") (param i32) (result i32) (i32.const 65536))
  (func (export "deallocate") (param i32 i32))
  (func (export "process") (param i32) (result i32) (i32.const 0))
)
