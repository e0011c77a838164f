;; Accesses have no bounds checks, and the base is a load that may move.
(module
  (memory 1)
  (func (param i32) (result i32)
    (i32.store8 offset=4 (local.get 0) (i32.load offset=0xffff_ffff (local.get 0)))
    (i32.load16_s (local.get 0)))
  (func (param i32) (result i32)
    (memory.fill (local.get 0) (i32.const 1) (memory.size))
    (memory.grow (local.get 0))))
