;; Bounds are checked, also for speculation. A table that cannot grow has a known length.
(module
  (table $grows 1 externref)
  (table $fixed 8 8 funcref)
  (func $get (export "get") (param i32) (result externref)
    (table.get $grows (local.get 0)))
  (func (param i32)
    (table.set $fixed (local.get 0) (ref.func $get)))
  (func (param externref i32) (result i32)
    (drop (table.grow $grows (local.get 0) (local.get 1)))
    (table.size $grows)))
