;; The allocation benchmark "binary trees", of structs that the engine collects: a tree that stays,
;; and many short-lived ones of every depth. `run(depth) -> checksum`.
(module
  (type $tree (struct (field $left (ref null $tree)) (field $right (ref null $tree))))

  (func $make (param $depth i32) (result (ref $tree))
    (if (result (ref $tree)) (local.get $depth)
      (then
        (struct.new $tree
          (call $make (i32.sub (local.get $depth) (i32.const 1)))
          (call $make (i32.sub (local.get $depth) (i32.const 1)))))
      (else (struct.new_default $tree))))

  (func $count (param $tree (ref $tree)) (result i32) (local $left (ref null $tree))
    (local.set $left (struct.get $tree $left (local.get $tree)))
    (if (result i32) (ref.is_null (local.get $left))
      (then (i32.const 1))
      (else
        (i32.add (i32.const 1)
          (i32.add
            (call $count (ref.as_non_null (local.get $left)))
            (call $count
              (ref.as_non_null (struct.get $tree $right (local.get $tree)))))))))

  (func (export "run") (param $depth i32) (result i32)
    (local $sum i32) (local $at i32) (local $n i32) (local $stays (ref $tree))
    (local.set $sum (call $count (call $make (i32.add (local.get $depth) (i32.const 1)))))
    (local.set $stays (call $make (local.get $depth)))
    (local.set $at (i32.const 4))
    (block $end
      (loop $depths
        (br_if $end (i32.gt_s (local.get $at) (local.get $depth)))
        (local.set $n
          (i32.shl (i32.const 1)
            (i32.add (i32.sub (local.get $depth) (local.get $at)) (i32.const 4))))
        (loop $trees
          (local.set $sum
            (i32.add (local.get $sum) (call $count (call $make (local.get $at)))))
          (br_if $trees (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br $depths)))
    (i32.add (local.get $sum) (call $count (local.get $stays)))))
