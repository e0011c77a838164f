;; Blocks are made by branches; a table's branches with values go through one block a target.
(module
  (func (param i32) (result i32) (local i32)
    (block
      (loop
        (br_if 1 (i32.eqz (local.get 0)))
        (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br 0)))
    (local.get 1))
  (func (param i32) (result i32)
    (block (result i32)
      (block (result i32)
        (br_table 0 1 0 1 (i32.const 7) (local.get 0)))
      (i32.const 1)
      (i32.add)))
  (func (param i32) (result i32)
    (if (local.get 0) (then (local.set 0 (i32.const 2))))
    (local.get 0)
    (if (param i32) (result i32) (local.get 0)
      (then (i32.const 1) (i32.add))
      (else (i32.const 2) (i32.mul)))))
