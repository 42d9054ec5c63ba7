;; Hostile: stores a value under one key after another, up to 200: that of its configuration, else
;; 1 MiB. Stopped by `state_bytes` or `state_keys`; its report has its place before.
(module
  (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "store_data" (func $store (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 20)
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
  (data (i32.const 16) "value")
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $count i32) (local $code i32) (local $length i32)
    (call $report (i32.const 0) (i32.const 0))
    (local.set $length
      (call $config (i32.const 16) (i32.const 5) (i32.const 262144) (i32.const 1048576)))
    (if (i32.lt_s (local.get $length) (i32.const 0))
      (then (local.set $length (i32.const 1048576))))
    (loop $more
      (i32.store8 (i32.const 32) (local.get $count))
      (local.set $code
        (call $store
          (i32.const 32) (i32.const 1) (i32.const 262144) (local.get $length)))
      (if (i32.lt_s (local.get $code) (i32.const 0)) (then
        (call $report (local.get $count) (local.get $code))
        (return (i32.const 0))))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $count) (i32.const 200))))
    (call $report (local.get $count) (i32.const 0))
    (i32.const 0))
)
