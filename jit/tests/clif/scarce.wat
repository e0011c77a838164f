;; scarce
(module
  (type $s (struct (field i32)))
  (memory 1)
  (memory $wide i64 1)
  ;; Accesses to memories are compared with the length.
  (func (param i32) (result i32) (i32.load offset=4 (local.get 0)))
  (func (param i64 i32) (i32.store $wide (local.get 0) (local.get 1)))
  (func (param i64) (result i32) (i32.load $wide offset=0xffffffffffffffff (local.get 0)))
  ;; Inside from the start: no check.
  (func (result i32) (i32.load (i32.const 65532)))
  ;; All other checks are left to signals; the heap may have moved at each call.
  (func $div (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (param (ref null $s)) (result i32)
    (i32.add
      (struct.get $s 0 (local.get 0))
      (call $div (struct.get $s 0 (local.get 0)) (i32.const 3)))))
