;; Exceptions: thrown one and many frames away, past calls that catch others, held and thrown again.
(module
  (tag $value (param i32))
  (tag $other (param i64))

  (func $near (param $n i32) (result i32)
    (if (local.get $n) (then (throw $value (local.get $n))))
    (i32.const 0))

  ;; Goes down a few frames; every second one catches something else.
  (func $deep (param $depth i32) (param $n i32) (result i32)
    (if (i32.eqz (local.get $depth)) (then (return (call $near (local.get $n)))))
    (if (i32.and (local.get $depth) (i32.const 1))
      (then (return (i32.add (i32.const 1)
        (call $deep (i32.sub (local.get $depth) (i32.const 1)) (local.get $n))))))
    (drop (block $caught (result i64)
      (try_table (catch $other $caught)
        (return (i32.add (i32.const 2)
          (call $deep (i32.sub (local.get $depth) (i32.const 1)) (local.get $n)))))
      (unreachable)))
    (i32.const -1))

  ;; As compilers do for destructors: catches everything, and throws it again.
  (func $cleanup (param $n i32) (result i32)
    (block $caught (result exnref)
      (try_table (catch_all_ref $caught)
        (return (call $near (local.get $n))))
      (unreachable))
    (global.set $cleanups (i32.add (global.get $cleanups) (i32.const 1)))
    (throw_ref))
  (global $cleanups (mut i32) (i32.const 0))

  (func $catch_near (param $n i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $value $caught) (return (call $near (local.get $n))))
      (unreachable)))
  (func $catch_deep (param $n i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $value $caught) (return (call $deep (i32.const 20) (local.get $n))))
      (unreachable)))
  (func $catch_cleanup (param $n i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $value $caught) (return (call $cleanup (local.get $n))))
      (unreachable)))

  (table funcref (elem $catch_near $catch_deep $catch_cleanup $catch_near))
  (type $catcher (func (param i32) (result i32)))

  ;; Which way to throw, or not to throw at all; how often.
  (func $run (param $way i32) (param $n i32) (result i32) (local $sum i32)
    (if (local.get $n)
      (then (loop $again
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31))
          (call_indirect (type $catcher)
            (select (i32.const 0) (local.get $n) (i32.eq (local.get $way) (i32.const 3)))
            (local.get $way))))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
    (local.get $sum))
  (func (export "near") (param i32) (result i32) (call $run (i32.const 0) (local.get 0)))
  (func (export "deep") (param i32) (result i32) (call $run (i32.const 1) (local.get 0)))
  (func (export "cleanup") (param i32) (result i32) (call $run (i32.const 2) (local.get 0)))
  (func (export "quiet") (param i32) (result i32) (call $run (i32.const 3) (local.get 0))))
