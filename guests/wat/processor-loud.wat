;; Hostile: answers whatever comes with 65,535 bytes. Stopped by `payload_bytes`.
(module
  (memory (export "memory") 3)
  (func (export "allocate") (param i32) (result i32) (i32.const 65536))
  (func (export "deallocate") (param i32 i32))
  (func (export "process") (param i32) (result i32)
    (memory.fill (i32.const 131072) (i32.const 65) (i32.const 65535))
    (i32.const 131072))
)
