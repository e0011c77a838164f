;; A chain of operators on one lane type has no casts but at its ends.
(module
  (memory 1)
  (func (param v128 v128 i32) (result v128)
    (v128.store (local.get 2)
      (f32x4.add
        (f32x4.mul (local.get 0) (local.get 1))
        (f32x4.sqrt (v128.load (local.get 2)))))
    (f32x4.pmin (local.get 0) (local.get 1))))
