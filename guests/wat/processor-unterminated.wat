;; Hostile: its result runs to the end of memory without a NUL. A fault.
(module
  (memory (export "memory") 3)
  (func (export "allocate") (param i32) (result i32) (i32.const 65536))
  (func (export "deallocate") (param i32 i32))
  (func (export "process") (param i32) (result i32)
    (memory.fill (i32.const 131072) (i32.const 65) (i32.const 65536))
    (i32.const 131072))
)
