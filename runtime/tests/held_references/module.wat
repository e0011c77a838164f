;; What all cases share: types, places that hold references, and how to tell what a reference leads to.
(type $box (sub (struct (field $value (mut i64)))))
(type $holder (struct
  (field $any (mut anyref)) (field $extern (mut externref)) (field $exn (mut exnref))
  (field $box (mut (ref null $box))) (field $func (mut funcref))))
(type $list (array (mut (ref null $box))))
(type $longs (array (mut i64)))
(type $box_at_type (func (param i32) (result (ref null $box))))

(import "host" "is_host" (func $is_host (param externref) (result i32)))
(import "host" "make" (func $make_host (result externref)))
(import "host" "churn" (func $host_churn))
(import "host" "same" (func $host_same (param anyref) (result anyref)))
(import "host" "pair" (func $host_pair (param anyref externref) (result anyref externref)))
(import "host" "nothing" (func $host_nothing))
(import "host" "global" (global $imported (mut anyref)))

(tag $one_box (param (ref null $box)))
(tag $pair (param (ref null $box) externref))
(tag $nothing)

(global $one (mut i32) (i32.const 1))
(global $number (mut i32) (i32.const 1234))
(global $first (mut (ref null $box)) (ref.null $box))
(global $second (mut (ref null $box)) (ref.null $box))
(global $list (mut (ref null $list)) (ref.null $list))
(global $holder (mut (ref null $holder)) (ref.null $holder))
(global $extern (mut externref) (ref.null extern))
(global $exn (mut exnref) (ref.null exn))
(global $func (mut funcref) (ref.func $answer))
(global $constant (ref $box) (struct.new $box (i64.const 55)))

(table $boxes 2 (ref null $box))
(table $anys 2 anyref)
(table $externs 2 externref)
(table $exns 1 exnref)
(table $funcs funcref (elem $answer $box_at))

(data $data "\37\00\00\00\00\00\00\00\37\00\00\00\00\00\00\00\37\00\00\00\00\00\00\00")
(elem $elements (ref null $box)
  (item (struct.new $box (i64.const 55))) (item (ref.null $box)) (item (ref.null $box)))

(func $answer (result i32) (i32.const 42))

(func $box_at (type $box_at_type) (table.get $boxes (local.get 0)))

(func $set_up (local $exn exnref)
  (global.set $first (struct.new $box (i64.const 0x1111111111111111)))
  (global.set $second (struct.new $box (i64.const 0x2222222222222222)))
  (global.set $list (array.new $list (global.get $first) (i32.const 5)))
  (global.set $extern (call $make_host))
  (block $caught (result (ref null $box) exnref)
    (try_table (catch_ref $one_box $caught) (throw $one_box (global.get $first)))
    (unreachable))
  (local.set $exn) (drop)
  (global.set $exn (local.get $exn))
  (global.set $holder (struct.new $holder
    (global.get $first) (global.get $extern) (global.get $exn) (global.get $second) (ref.func $answer)))
  (global.set $imported (global.get $second))
  (table.set $boxes (i32.const 0) (global.get $first))
  (table.set $boxes (i32.const 1) (global.get $second))
  (table.set $anys (i32.const 0) (global.get $first))
  (table.set $anys (i32.const 1) (global.get $list))
  (table.set $externs (i32.const 0) (global.get $extern))
  (table.set $externs (i32.const 1) (extern.convert_any (global.get $first)))
  (table.set $exns (i32.const 0) (global.get $exn)))

;; Allocates until everything has moved and the memory that was left is in use again.
(func $churn (export "churn") (local $n i32)
  (local.set $n (i32.const ROUNDS))
  (loop $again
    (drop (struct.new $box (i64.const -1)))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))

(func $churn_and_throw (call $churn) (throw $nothing))

;; What an exception carries first.
(func $payload (param $exn exnref) (result anyref)
  (block $box (result (ref null $box))
    (block $pair (result (ref null $box) externref)
      (try_table (catch $one_box $box) (catch $pair $pair) (throw_ref (local.get $exn)))
      (unreachable))
    (drop)))

(func $is_answer (param $func funcref) (result i32)
  (table.set $funcs (i32.const 0) (local.get $func))
  (i32.eq (i32.const 42) (call_indirect $funcs (result i32) (i32.const 0))))

;; Whether this very object has this content.
(func $same (param $x anyref) (param $box (ref null $box)) (param $value i64) (result i32)
  (i32.and
    (ref.eq (ref.cast eqref (local.get $x)) (local.get $box))
    (call $boxed (local.get $x) (local.get $value))))

(func $boxed (param $x anyref) (param $value i64) (result i32)
  (i64.eq (struct.get $box $value (ref.cast (ref $box) (local.get $x))) (local.get $value)))

(func $longs (param $x anyref) (param $value i64) (result i32) (local $longs (ref null $longs))
  (local.set $longs (ref.cast (ref $longs) (local.get $x)))
  (i32.and
    (i32.eq (array.len (local.get $longs)) (i32.const 3))
    (i32.and
      (i64.eq (array.get $longs (local.get $longs) (i32.const 0)) (local.get $value))
      (i64.eq (array.get $longs (local.get $longs) (i32.const 2)) (local.get $value)))))

(func $listed (param $x anyref) (param $len i32) (param $box (ref null $box)) (result i32)
  (local $list (ref null $list))
  (local.set $list (ref.cast (ref $list) (local.get $x)))
  (i32.and
    (i32.eq (array.len (local.get $list)) (local.get $len))
    (i32.and
      (ref.eq (array.get $list (local.get $list) (i32.const 0)) (local.get $box))
      (ref.eq (array.get $list (local.get $list) (i32.const 1)) (local.get $box)))))

(func $held (param $x anyref) (result i32) (local $holder (ref null $holder))
  (local.set $holder (ref.cast (ref $holder) (local.get $x)))
  (i32.and
    (i32.and
      (call $same (struct.get $holder $any (local.get $holder))
        (global.get $first) (i64.const 0x1111111111111111))
      (call $same (struct.get $holder $box (local.get $holder))
        (global.get $second) (i64.const 0x2222222222222222)))
    (i32.and
      (call $is_host (struct.get $holder $extern (local.get $holder)))
      (i32.and
        (call $is_answer (struct.get $holder $func (local.get $holder)))
        (call $same (call $payload (struct.get $holder $exn (local.get $holder)))
          (global.get $first) (i64.const 0x1111111111111111))))))

;; Whether a reference leads to what has this number.
(func $is (param $x anyref) (param $what i32) (result i32)
  (block $11 (block $10 (block $9 (block $8 (block $7 (block $6 (block $5 (block $4 (block $3
  (block $2 (block $1 (block $0
    (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 (local.get $what)))
  (return (call $same (local.get $x) (global.get $first) (i64.const 0x1111111111111111))))
  (return (call $same (local.get $x) (global.get $second) (i64.const 0x2222222222222222))))
  (return (i32.and
    (ref.eq (ref.cast eqref (local.get $x)) (global.get $list))
    (call $listed (local.get $x) (i32.const 5) (global.get $first)))))
  (return (call $boxed (local.get $x) (i64.const 55))))
  (return (call $boxed (local.get $x) (i64.const 0))))
  (return (call $held (local.get $x))))
  (return (call $longs (local.get $x) (i64.const 55))))
  (return (call $longs (local.get $x) (i64.const 0))))
  (return (call $listed (local.get $x) (i32.const 2) (global.get $first))))
  (return (i32.eq (i32.const 1234) (i31.get_s (ref.cast i31ref (local.get $x))))))
  (return (call $is_host (extern.convert_any (local.get $x)))))
  (call $listed (local.get $x) (i32.const 2) (ref.null $box)))
