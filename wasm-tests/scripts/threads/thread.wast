;; What a thread is: its own current module, its own names, its own registrations.

(module $Mem
  (memory (export "shared") 1 10 shared)
  (memory (export "own") 1)
  (func (export "f") (result i32) (i32.const 1))
)
(module $Current (func (export "g") (result i32) (i32.const 2)))

(thread $T1 (shared (module $Mem))
  (register "mem" $Mem)
  (module definition $Def
    (memory (import "mem" "shared") 1 10 shared)
    (func (export "g") (result i32) (i32.const 3))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func (export "trap") (drop (i32.atomic.load (i32.const 1))))
    (func (export "wait") (param i64) (result i32)
      (memory.atomic.wait32 (i32.const 0) (i32.const 0) (local.get 0))
    )
  )
  (module instance $Current $Def)
  (assert_return (invoke $Current "g") (i32.const 3))
  (assert_return (invoke "grow") (i32.const 1))
  (assert_trap (invoke "trap") "unaligned atomic")
  (assert_return (invoke "wait" (i64.const 0)) (i32.const 2))
  ;; The name of the shared module can be given to another one.
  (module $Mem (func (export "f") (result i32) (i32.const 4)))
  (assert_return (invoke $Mem "f") (i32.const 4))
  (assert_invalid (module (memory 1 shared)) "shared memory must have maximum")
)
(wait $T1)

(assert_return (invoke "g") (i32.const 2))
(assert_return (invoke $Current "g") (i32.const 2))
(assert_return (invoke $Mem "f") (i32.const 1))

;; The thread has grown what it shares.
(register "mem" $Mem)
(module
  (memory (import "mem" "shared") 2 10 shared)
  (func (export "size") (result i32) (memory.size))
)
(assert_return (invoke "size") (i32.const 2))
