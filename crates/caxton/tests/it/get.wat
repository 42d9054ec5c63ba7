;; A processor that sends its input as an HTTP request, and answers the response; where there is none, the
;; code of `http_request` as one byte, 48 for success.
(module
  (import "caxton" "http_request" (func $http (param i32 i32) (result i32)))
  (import "caxton" "read_response" (func $read (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (func (export "process") (param $in i32) (param $len i32) (param $cell i32) (result i32)
    (local $code i32) (local $size i32)
    (local.set $code (call $http (local.get $in) (local.get $len)))
    (i32.store8 (i32.const 1024) (i32.sub (i32.const 48) (local.get $code)))
    (local.set $size (i32.const 1))
    (if (i32.eqz (local.get $code))
      (then (local.set $size (call $read (i32.const 1024) (i32.const 60000)))))
    (i32.store (local.get $cell) (local.get $size))
    (i32.const 1024)))
