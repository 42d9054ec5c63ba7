;; Hostile: a form C processor whose out length is beyond its memory. A fault.
(module
  (memory (export "memory") 3)
  (func (export "allocate") (param i32) (result i32) (i32.const 65536))
  (func (export "deallocate") (param i32 i32))
  (func (export "process") (param i32 i32 i32) (result i32)
    (i32.store (local.get 2) (i32.const -1))
    (i32.const 65536))
)
