;; Hostile: creates up to 9 files in the first directory that it was granted, and deletes them. Stopped
;; by `fs_entries`. Its report has WASI's number for the error, below 0.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $unlink (param i32 i32 i32) (result i32)))
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
  (data (i32.const 16) "file")
  ;; The length of a file's name, which ends with its number.
  (func $name (param $length i32) (param $number i32) (result i32)
    (i32.store8
      (i32.add (i32.const 256) (local.get $length))
      (i32.add (i32.const 48) (local.get $number)))
    (i32.add (local.get $length) (i32.const 1)))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $count i32) (local $errno i32) (local $length i32) (local $left i32)
    (local.set $length
      (call $config (i32.const 16) (i32.const 4) (i32.const 256) (i32.const 256)))
    ;; Without a name in its configuration.
    (if (i32.lt_s (local.get $length) (i32.const 0)) (then (local.set $length (i32.const 0))))
    (block $end
      (loop $more
        (local.set $errno
          (call $open
            (i32.const 3) (i32.const 0)
            (i32.const 256) (call $name (local.get $length) (local.get $count)) (i32.const 1)
            (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 40)))
        (br_if $end (local.get $errno))
        (drop (call $close (i32.load (i32.const 40))))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $count) (i32.const 9)))))
    (local.set $left (local.get $count))
    (block $gone
      (loop $less
        (br_if $gone (i32.eqz (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (drop (call $unlink
          (i32.const 3) (i32.const 256) (call $name (local.get $length) (local.get $left))))
        (br $less)))
    (call $report (local.get $count) (i32.sub (i32.const 0) (local.get $errno)))
    (i32.const 0))
)
