;; Tail calls: of this module's functions, of imports, through a table, with more arguments on the
;; stack than the caller has.
(module
  (type $i (func (param i32) (result i32)))
  (import "" "f" (func $import (type $i)))
  (table 3 3 funcref)
  (func $direct (type $i)
    (return_call $direct (i32.add (local.get 0) (i32.const 1))))
  (func (type $i)
    (return_call $import (local.get 0)))
  (func (type $i)
    (return_call_indirect (type $i) (local.get 0) (local.get 0)))
  (func (param i32) (result i64)
    (if (result i64) (local.get 0)
      (then (return_call $many (i64.const 0) (i64.const 1) (i64.const 2) (i64.const 3)
        (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7)))
      (else (i64.const 8))))
  (func $many (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
    (local.get 7)))
