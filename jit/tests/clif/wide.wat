;; 128-bit arithmetic, and relaxed vectors in the deterministic profile's form where x86 has no other.
(module
  (func $add (param i64 i64 i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func $multiply (param i64 i64) (result i64 i64)
    (i64.mul_wide_u (local.get 0) (local.get 1)))
  (func $unsigned (param v128) (result v128)
    (i32x4.relaxed_trunc_f32x4_u (local.get 0))))
