;; A thread that starts two and waits for one: the other is waited for at its end.

(module $Mem
  (memory (export "shared") 1 1 shared)
  (func (export "get") (result i32) (i32.load (i32.const 0)))
)

(thread $Outer (shared (module $Mem))
  (register "mem" $Mem)
  (module $Add
    (memory (import "mem" "shared") 1 1 shared)
    (func (export "add") (param i32) (drop (i32.atomic.rmw.add (i32.const 0) (local.get 0))))
    (func (export "get") (result i32) (i32.load (i32.const 0)))
  )
  (thread $One (shared (module $Mem))
    (register "memory" $Mem)
    (module
      (memory (import "memory" "shared") 1 1 shared)
      (func (export "add") (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1))))
    )
    (invoke "add")
    (invoke "add")
  )
  (wait $One)
  (assert_return (invoke $Add "get") (i32.const 2))
  ;; The name is free again.
  (thread $One (shared (module $Mem))
    (register "mem" $Mem)
    (module
      (memory (import "mem" "shared") 1 1 shared)
      (func (export "add") (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 100))))
    )
    (invoke "add")
  )
  (invoke $Add "add" (i32.const 10))
)
(wait $Outer)
(assert_return (invoke $Mem "get") (i32.const 112))
