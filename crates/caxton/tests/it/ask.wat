;; Sends the request that `config_get("request")` says, and answers its requester with what came back.
;;
;; Returns 0 minus the code of `http_request` where that is negative.
(module
  (import "caxton" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "caxton" "http_request" (func $http (param i32 i32) (result i32)))
  (import "caxton" "read_response" (func $read (param i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "request")
  (data (i32.const 5000) "{\"performative\":\"inform\",\"receiver\":\"ann\",\"conversation_id\":\"asked\",\"content\":")
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 131072))
  (func (export "caxton_free") (param i32 i32))
  (func (export "handle_message") (param i32 i32) (result i32)
    (local $end i32) (local $code i32)
    (local.set $code
      (call $http (i32.const 100)
        (call $config (i32.const 0) (i32.const 7) (i32.const 100) (i32.const 4000))))
    (if (local.get $code) (then (return (i32.sub (i32.const 0) (local.get $code)))))
    (local.set $end
      (i32.add (i32.const 5078) (call $read (i32.const 5078) (i32.const 60000))))
    (i32.store8 (local.get $end) (i32.const 125)) ;; }
    (drop (call $send (i32.const 5000) (i32.sub (local.get $end) (i32.const 4999))))
    (i32.const 0)))
