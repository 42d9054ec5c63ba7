;; No allocator, and no way to grow: the host adds a region for its input.
;; Answers 0 where its input begins as a message does, so that a test sees it was really there.
(module
  (memory (export "memory") 1)
  (func (export "handle_message") (param $at i32) (param $length i32) (result i32)
    ;; 123 is `{`: what a message begins with.
    (i32.ne (i32.load8_u (local.get $at)) (i32.const 123)))
)
