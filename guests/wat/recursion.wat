;; Hostile: calls itself 7,000 deep: more than the 512 KiB of a guest's stack, less than 1 MiB.
;; Stopped by the stack.
(module
  (memory (export "memory") 3)
  ;; One region for the host's input: what a turn gets at most here is 128 KiB.
  (func (export "caxton_alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 131072)) (then (unreachable)))
    (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  ;; Six values outlive the call: a frame has some 100 bytes (96 on Pulley, 128 as x86-64 code).
  (func $deeper (param $left i32)
      (param $a i64) (param $b i64) (param $c i64) (param $d i64) (param $e i64) (param $f i64)
      (result i64)
    (local $below i64)
    (if (i32.eqz (local.get $left)) (then (return (local.get $a))))
    (local.set $below
      (call $deeper (i32.sub (local.get $left) (i32.const 1))
        (local.get $b) (local.get $c) (local.get $d)
        (local.get $e) (local.get $f) (local.get $a)))
    (i64.add (local.get $below)
      (i64.xor (i64.mul (local.get $a) (local.get $b))
        (i64.xor (i64.mul (local.get $c) (local.get $d))
          (i64.mul (local.get $e) (local.get $f))))))
  (func (export "handle_message") (param i32 i32) (result i32)
    (drop (call $deeper (i32.const 7000)
      (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)))
    (i32.const 0))
)
