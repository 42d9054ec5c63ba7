;; Sets the secret that `config_get("put")` names, and answers its requester with the one that
;; `config_get("get")` names. The log says the codes.
;;
;; The value that it sets is computed, so that it is neither in the module nor in what is made of it.
(module
  (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "vault_get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "vault_put" (func $put (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "console_log" (func $log (param i32 i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "get")
  (data (i32.const 8) "put")
  (data (i32.const 16) "get: -0")
  (data (i32.const 32) "put: -0")
  (data (i32.const 5000) "{\"performative\":\"inform\",\"receiver\":\"ann\",\"conversation_id\":\"asked\",\"content\":\"")
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 131072))
  (func (export "caxton_free") (param i32 i32))
  (func $say (param $at i32) (param $code i32)
    (i32.store8 (i32.add (local.get $at) (i32.const 6)) (i32.sub (i32.const 48) (local.get $code)))
    (call $log (local.get $at) (i32.const 7)))
  (func $fill (local $i i32)
    (loop $next
      (i32.store8 (i32.add (i32.const 1000) (local.get $i))
        (i32.add (i32.const 97) (i32.rem_u (i32.mul (local.get $i) (i32.const 7)) (i32.const 26))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 32)))))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $length i32) (local $code i32)
    (local.set $length (call $config (i32.const 8) (i32.const 3) (i32.const 100) (i32.const 400)))
    (if (i32.gt_s (local.get $length) (i32.const 0)) (then
      (call $fill)
      (call $say (i32.const 32)
        (call $put (i32.const 100) (local.get $length) (i32.const 1000) (i32.const 32)))))
    (local.set $length (call $config (i32.const 0) (i32.const 3) (i32.const 100) (i32.const 400)))
    (if (i32.le_s (local.get $length) (i32.const 0)) (then (return (i32.const 0))))
    (local.set $code (call $get (i32.const 100) (local.get $length) (i32.const 5079) (i32.const 60000)))
    (if (i32.lt_s (local.get $code) (i32.const 0)) (then
      (call $say (i32.const 16) (local.get $code))
      (return (i32.const 0))))
    (i32.store16 (i32.add (i32.const 5079) (local.get $code)) (i32.const 0x7d22)) ;; "}
    (drop (call $send (i32.const 5000) (i32.add (local.get $code) (i32.const 81))))
    (i32.const 0)))
