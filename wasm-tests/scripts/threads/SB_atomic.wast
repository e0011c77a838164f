;; Store buffering, with atomic accesses.

(module $Mem
  (memory (export "shared") 1 1 shared)
)
(register "Mem" $Mem)

(thread $T1 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 1 shared)
    (func (export "run")
      (local i32)
      (i32.atomic.store (i32.const 0) (i32.const 1))
      (local.set 0 (i32.atomic.load (i32.const 4)))
      (i32.store (i32.const 24) (local.get 0))
    )
  )
  (invoke "run")
)

(thread $T2 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 1 shared)
    (func (export "run")
      (local i32)
      (i32.atomic.store (i32.const 4) (i32.const 1))
      (local.set 0 (i32.atomic.load (i32.const 0)))
      (i32.store (i32.const 32) (local.get 0))
    )
  )
  (invoke "run")
)

(wait $T1)
(wait $T2)

(module $Check
  (memory (import "Mem" "shared") 1 1 shared)
  (func (export "check") (param i32) (result i32) (i32.load (local.get 0)))
  ;; Both loads before both stores: not allowed of atomic accesses.
  (func (export "allowed") (result i32)
    (i32.or (i32.load (i32.const 24)) (i32.load (i32.const 32)))
  )
)
(assert_return (invoke $Check "allowed") (i32.const 1))
(assert_return (invoke $Check "check" (i32.const 24)) (either (i32.const 0) (i32.const 1)))
(assert_return (invoke $Check "check" (i32.const 32)) (either (i32.const 0) (i32.const 1)))
