;; What a thread cannot link to.

(module $Mem
  (memory (export "shared") 2 3 shared)
  (memory (export "own") 1 1)
  (func (export "f"))
)
(register "mem" $Mem)

(thread $T1 (shared (module $Mem))
  ;; Nothing that others have registered is known.
  (assert_unlinkable
    (module (memory (import "mem" "shared") 1 3 shared)) "unknown import")
  (register "mem" $Mem)
  (module (memory (import "mem" "shared") 1 3 shared))
  (module (memory (import "mem" "shared") 2 4 shared))
  (assert_unlinkable
    (module (memory (import "mem" "shared") 3 3 shared)) "incompatible import type")
  (assert_unlinkable
    (module (memory (import "mem" "shared") 1 2 shared)) "incompatible import type")
  (assert_unlinkable
    (module (memory (import "mem" "shared") 1 3)) "incompatible import type")
  (assert_unlinkable
    (module (global (import "mem" "shared") i32)) "incompatible import type")
  (assert_unlinkable
    (module (memory (import "mem" "else") 1 3 shared)) "unknown import")
  ;; What is not shared stays with its store.
  (assert_unlinkable (module (memory (import "mem" "own") 1 1)) "unknown import")
  (assert_unlinkable (module (func (import "mem" "f"))) "unknown import")
)
(wait $T1)

;; A thread that shares nothing, and one that registers for itself only.
(thread $T2
  (assert_unlinkable
    (module (memory (import "mem" "shared") 1 3 shared)) "unknown import")
)
(thread $T3 (shared (module $Mem))
  (register "elsewhere" $Mem)
  (module (memory (import "elsewhere" "shared") 1 3 shared))
)
(wait $T2)
(wait $T3)
(assert_unlinkable
  (module (memory (import "elsewhere" "shared") 1 3 shared)) "unknown import")
(module (memory (import "mem" "shared") 1 3 shared))
