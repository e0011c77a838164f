;; One thread after the other, each seeing what the one before has left.

(module $Mem
  (memory (export "shared") 1 1 shared)
  (func (export "set") (param i32) (i32.store (i32.const 0) (local.get 0)))
  (func (export "get") (result i32) (i32.load (i32.const 0)))
)
(invoke $Mem "set" (i32.const 42))

(thread $T1 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 1 shared)
    (func (export "add") (param i32) (result i32)
      (i32.atomic.rmw.add (i32.const 0) (local.get 0))
    )
  )
  (assert_return (invoke "add" (i32.const 1)) (i32.const 42))
  (assert_return (invoke "add" (i32.const 2)) (i32.const 43))
)
(wait $T1)
(assert_return (invoke $Mem "get") (i32.const 45))

;; A thread that shares nothing.
(thread $T2
  (module (func (export "f") (result i32) (i32.const 7)))
  (assert_return (invoke "f") (i32.const 7))
)
(wait $T2)
(assert_return (invoke $Mem "get") (i32.const 45))
