;; Imported globals lie elsewhere, our own in the context.
(module
  (import "m" "g" (global $import (mut i64)))
  (global $own (mut v128) (v128.const i64x2 0 0))
  (func
    (global.set $import (i64.add (global.get $import) (i64.const -1)))
    (global.set $own (i32x4.neg (global.get $own)))))
