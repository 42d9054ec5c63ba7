;; Hostile: asks for the HTTP request of its configuration up to 20 times in one turn. Stopped by
;; `http_per_minute`, `http_bytes_per_minute`, `net_bytes_per_minute` or `http_body_bytes`; refused at
;; its deploy where nothing of HTTP is granted.
(module
  (import "caxton" "http_request" (func $http (param i32 i32) (result i32)))
  (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  ;; What it saw, as its state `report`: how often it worked, and the first code below 0, else 0.
  (data (i32.const 0) "report")
  (func $report (param $count i32) (param $code i32)
    (i32.store (i32.const 8) (local.get $count))
    (i32.store (i32.const 12) (local.get $code))
    (drop (call $store (i32.const 0) (i32.const 6) (i32.const 8) (i32.const 8))))
  (data (i32.const 16) "request")
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $count i32) (local $code i32) (local $length i32)
    (local.set $length
      (call $config (i32.const 16) (i32.const 7) (i32.const 256) (i32.const 65280)))
    (loop $more
      (local.set $code (call $http (i32.const 256) (local.get $length)))
      (if (i32.lt_s (local.get $code) (i32.const 0)) (then
        (call $report (local.get $count) (local.get $code))
        (return (i32.const 0))))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $count) (i32.const 20))))
    (call $report (local.get $count) (i32.const 0))
    (i32.const 0))
)
