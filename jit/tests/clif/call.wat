;; Code is reached through slots; imports and references bring their own context, and their caller
;; is recorded.
(module
  (type $t (func (param i32) (result i32)))
  (import "m" "f" (func $import (type $t)))
  (table 4 funcref)
  (func $direct (param i32) (result i32)
    (call $direct (local.get 0)))
  (func (param i32) (result i32)
    (call $import (local.get 0)))
  (func (param i32) (result i32)
    (call_indirect (type $t) (local.get 0) (local.get 0))))
