;; Derives a polynomial until nothing is left of it, in structs that the engine collects.
;;
;;     cargo run --release -- run examples/derive.wat
;;
;; Expressions are a type with four subtypes; what they are is found by casts. Each derivative is
;; made of new objects that share parts with the one before, and all of it is garbage one line
;; later. Text is built in an array and copied to the memory, which is what WASI reads.

(module $derive
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $count i32) (param $written i32)
      (result i32)))

  (rec
    (type $expr (sub (struct)))
    (type $var (sub final $expr (struct)))
    (type $num (sub final $expr (struct (field $value i32))))
    (type $add (sub final $expr (struct (field $a (ref $expr)) (field $b (ref $expr)))))
    (type $mul (sub final $expr (struct (field $x (ref $expr)) (field $y (ref $expr))))))
  (type $bytes (array (mut i8)))
  (type $text (struct (field $bytes (mut (ref $bytes))) (field $len (mut i32))))

  ;; 0: an iovec; 8: bytes written; 16 and up: what is written.
  (memory (export "memory") 1)

  (global $x (ref $expr) (struct.new $var))

  ;; Constructors, which leave out what changes nothing.

  (func $num (param $value i32) (result (ref $expr)) (struct.new $num (local.get $value)))

  (func $is (param $e (ref $expr)) (param $value i32) (result i32)
    (block $other (result (ref $expr))
      (return (i32.eq (local.get $value)
        (struct.get $num $value
          (br_on_cast_fail $other (ref $expr) (ref $num) (local.get $e))))))
    (drop)
    (i32.const 0))

  (func $add (param $a (ref $expr)) (param $b (ref $expr)) (result (ref $expr))
    (if (call $is (local.get $a) (i32.const 0)) (then (return (local.get $b))))
    (if (call $is (local.get $b) (i32.const 0)) (then (return (local.get $a))))
    (struct.new $add (local.get $a) (local.get $b)))

  (func $mul (param $a (ref $expr)) (param $b (ref $expr)) (result (ref $expr))
    (if (i32.or (call $is (local.get $a) (i32.const 0)) (call $is (local.get $b) (i32.const 0)))
      (then (return (call $num (i32.const 0)))))
    (if (call $is (local.get $a) (i32.const 1)) (then (return (local.get $b))))
    (if (call $is (local.get $b) (i32.const 1)) (then (return (local.get $a))))
    (if (i32.and (ref.test (ref $num) (local.get $a)) (ref.test (ref $num) (local.get $b)))
      (then (return (call $num (i32.mul
        (struct.get $num $value (ref.cast (ref $num) (local.get $a)))
        (struct.get $num $value (ref.cast (ref $num) (local.get $b))))))))
    (struct.new $mul (local.get $a) (local.get $b)))

  ;; coefficient * x ^ power
  (func $term (param $coefficient i32) (param $power i32) (result (ref $expr))
    (local $e (ref $expr))
    (local.set $e (call $num (local.get $coefficient)))
    (loop $more
      (if (local.get $power)
        (then
          (local.set $e (call $mul (local.get $e) (global.get $x)))
          (local.set $power (i32.sub (local.get $power) (i32.const 1)))
          (br $more))))
    (local.get $e))

  (func $derive (param $e (ref $expr)) (result (ref $expr)) (local $m (ref $mul))
    (if (ref.eq (local.get $e) (global.get $x)) (then (return (call $num (i32.const 1)))))
    (if (ref.test (ref $num) (local.get $e)) (then (return (call $num (i32.const 0)))))
    (block $product (result (ref $expr))
      (br_on_cast_fail $product (ref $expr) (ref $add) (local.get $e))
      (return (call $derive_sum)))
    (local.set $m (ref.cast (ref $mul)))
    (call $add
      (call $mul (call $derive (struct.get $mul $x (local.get $m))) (struct.get $mul $y (local.get $m)))
      (call $mul (struct.get $mul $x (local.get $m)) (call $derive (struct.get $mul $y (local.get $m))))))

  (func $derive_sum (param $s (ref $add)) (result (ref $expr))
    (call $add
      (call $derive (struct.get $add $a (local.get $s)))
      (call $derive (struct.get $add $b (local.get $s)))))

  (func $value (param $e (ref $expr)) (param $at i32) (result i32) (local $m (ref $mul))
    (if (ref.eq (local.get $e) (global.get $x)) (then (return (local.get $at))))
    (if (ref.test (ref $num) (local.get $e))
      (then (return (struct.get $num $value (ref.cast (ref $num) (local.get $e))))))
    (if (ref.test (ref $add) (local.get $e))
      (then (return (i32.add
        (call $value (struct.get $add $a (ref.cast (ref $add) (local.get $e))) (local.get $at))
        (call $value (struct.get $add $b (ref.cast (ref $add) (local.get $e))) (local.get $at))))))
    (local.set $m (ref.cast (ref $mul) (local.get $e)))
    (i32.mul
      (call $value (struct.get $mul $x (local.get $m)) (local.get $at))
      (call $value (struct.get $mul $y (local.get $m)) (local.get $at))))

  ;; Text, in an array that grows by being copied.

  (func $put (param $t (ref $text)) (param $byte i32) (local $larger (ref $bytes))
    (if (i32.eq (struct.get $text $len (local.get $t))
                (array.len (struct.get $text $bytes (local.get $t))))
      (then
        (local.set $larger
          (array.new_default $bytes
            (i32.mul (i32.const 2) (array.len (struct.get $text $bytes (local.get $t))))))
        (array.copy $bytes $bytes
          (local.get $larger) (i32.const 0)
          (struct.get $text $bytes (local.get $t)) (i32.const 0)
          (struct.get $text $len (local.get $t)))
        (struct.set $text $bytes (local.get $t) (local.get $larger))))
    (array.set $bytes (struct.get $text $bytes (local.get $t))
      (struct.get $text $len (local.get $t)) (local.get $byte))
    (struct.set $text $len (local.get $t)
      (i32.add (struct.get $text $len (local.get $t)) (i32.const 1))))

  (func $put_number (param $t (ref $text)) (param $n i32)
    (if (i32.ge_u (local.get $n) (i32.const 10))
      (then (call $put_number (local.get $t) (i32.div_u (local.get $n) (i32.const 10)))))
    (call $put (local.get $t)
      (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10)))))

  (func $print (param $t (ref $text)) (local $i i32)
    (loop $more
      (i32.store8 offset=16 (local.get $i)
        (array.get_u $bytes (struct.get $text $bytes (local.get $t)) (local.get $i)))
      (br_if $more (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1)))
        (struct.get $text $len (local.get $t)))))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (struct.get $text $len (local.get $t)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  ;; A line: the values at 0, 1, 2 and 3.
  (func $print_values (param $e (ref $expr)) (local $t (ref $text)) (local $at i32)
    (local.set $t (struct.new $text (array.new $bytes (i32.const 0) (i32.const 4)) (i32.const 0)))
    (loop $more
      (call $put_number (local.get $t) (call $value (local.get $e) (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (if (i32.lt_u (local.get $at) (i32.const 4))
        (then (call $put (local.get $t) (i32.const 32)) (br $more))))
    (call $put (local.get $t) (i32.const 10))
    (call $print (local.get $t)))

  (func (export "_start") (local $e (ref $expr))
    ;; 2 x^7 + 3 x^2 + 5
    (local.set $e
      (call $add (call $term (i32.const 2) (i32.const 7))
        (call $add (call $term (i32.const 3) (i32.const 2)) (call $num (i32.const 5)))))
    (loop $more
      (call $print_values (local.get $e))
      (local.set $e (call $derive (local.get $e)))
      (br_if $more (i32.eqz (call $is (local.get $e) (i32.const 0)))))))
