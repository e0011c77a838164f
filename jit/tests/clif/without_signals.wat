;; no signals
(module
  (type $s (struct (field i32)))
  (type $f (func (result i32)))
  (memory 1)
  (table 4 8 (ref null $f))
  (func (param i32) (result i32) (i32.load offset=4 (local.get 0)))
  ;; Inside from the start: no check.
  (func (result i32) (i32.load (i32.const 65532)))
  (func (param i32) (result i32) (i32.load8_u (i32.and (local.get 0) (i32.const 65535))))
  (func (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (param f32) (result i32) (i32.trunc_f32_u (local.get 0)))
  (func (param i32) (result i32) (call_indirect (type $f) (local.get 0)))
  (func (param (ref null $s)) (result i32) (struct.get $s 0 (local.get 0)))
  (func unreachable))
