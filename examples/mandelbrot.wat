;; A flight into the Mandelbrot set, for a terminal with 256 colours and 80 columns.
;;
;;     cargo run --release -- run examples/mandelbrot.wat
;;
;; Everything is here: 48 frames of 80 by 46 points (a character cell shows two of them, as the
;; colours of an upper half block and of its background), written with one `fd_write` a frame, and
;; a short sleep between frames through `poll_oneoff`.

(module $mandelbrot
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $count i32) (param $written i32)
      (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param $in i32) (param $out i32) (param $count i32) (param $ready i32)
      (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  ;; 0: an iovec; 8: bytes written; 64: a subscription; 128: an event; 256: texts; 1024: the
  ;; palette; 4096 and up: the frame.
  (memory (export "memory") 4)

  (data (i32.const 256) "\1b[2J\1b[?25l")                       ;; clear, hide the cursor: 10 bytes
  (data (i32.const 272) "\1b[H")                                 ;; to the top left: 3
  (data (i32.const 280) "\1b[38;5;")                             ;; colour of the upper half: 7
  (data (i32.const 288) ";48;5;")                                ;; and of the lower: 6
  (data (i32.const 296) "m\e2\96\80")                            ;; the half block: 4
  (data (i32.const 304) "\1b[0m\n")                              ;; end of a row: 5
  (data (i32.const 312) "  the Mandelbrot set, enlarged ")      ;; the last line: 31
  (data (i32.const 344) " times  \1b[K")                         ;; its end: 11
  (data (i32.const 360) "\n\1b[?25h")                            ;; show the cursor: 7

  ;; Colours of the terminal's 6x6x6 cube: from blue through white, yellow and red back to blue.
  (data (i32.const 1024)
    "\11\12\13\14\15\1b\21\27\2d\33\57\7b\9f\c3\e7\e6\e5\e4\e3\e2"
    "\dc\d6\d0\ca\c4\a0\7c\58\34\35\36\37\38\39\15\14\13\12")

  (global $frames i32 (i32.const 48))
  (global $columns i32 (i32.const 80))
  (global $rows i32 (i32.const 23))
  (global $colours i32 (i32.const 38))
  (global $depth i32 (i32.const 400))
  (global $black i32 (i32.const 16))
  ;; Where the flight goes: the seahorse valley.
  (global $goal_x f64 (f64.const -0.743643887037151))
  (global $goal_y f64 (f64.const 0.131825904205330))

  ;; Where the next byte of the frame goes.
  (global $end (mut i32) (i32.const 4096))

  (func $main (export "_start")
    (local $frame i32)
    (local $zoom f64)
    (local.set $zoom (f64.const 1))
    (call $text (i32.const 256) (i32.const 10))
    (loop $next
      (call $draw (local.get $zoom))
      (call $flush)
      (call $sleep (i64.const 30000000))
      (local.set $zoom (f64.mul (local.get $zoom) (f64.const 1.16)))
      (local.set $frame (i32.add (local.get $frame) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $frame) (global.get $frames))))
    (call $text (i32.const 360) (i32.const 7))
    (call $flush))

  ;; One frame: the set around the goal, `zoom` times as large as the whole of it.
  (func $draw (param $zoom f64)
    (local $row i32) (local $column i32)
    (local $x f64) (local $y f64) (local $step f64)
    (local.set $step (f64.div (f64.const 0.0375) (local.get $zoom)))
    (call $text (i32.const 272) (i32.const 3))
    (loop $next_row
      (local.set $y (f64.add (global.get $goal_y) (f64.mul (local.get $step)
        (f64.sub
          (f64.convert_i32_u (i32.shl (local.get $row) (i32.const 1)))
          (f64.convert_i32_u (global.get $rows))))))
      (local.set $column (i32.const 0))
      (loop $next_column
        (local.set $x (f64.add (global.get $goal_x) (f64.mul (local.get $step)
          (f64.sub
            (f64.convert_i32_u (local.get $column))
            (f64.convert_i32_u (i32.shr_u (global.get $columns) (i32.const 1)))))))
        (call $text (i32.const 280) (i32.const 7))
        (call $number (call $colour (local.get $x) (local.get $y)))
        (call $text (i32.const 288) (i32.const 6))
        (call $number
          (call $colour (local.get $x) (f64.add (local.get $y) (local.get $step))))
        (call $text (i32.const 296) (i32.const 4))
        (local.set $column (i32.add (local.get $column) (i32.const 1)))
        (br_if $next_column (i32.lt_u (local.get $column) (global.get $columns))))
      (call $text (i32.const 304) (i32.const 5))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br_if $next_row (i32.lt_u (local.get $row) (global.get $rows))))
    (call $text (i32.const 312) (i32.const 31))
    (call $number (i32.trunc_f64_u (local.get $zoom)))
    (call $text (i32.const 344) (i32.const 11)))

  ;; The colour of a point: how many steps of z := z*z + c take it out of the circle of radius 2.
  (func $colour (param $cx f64) (param $cy f64) (result i32)
    (local $x f64) (local $y f64) (local $xx f64) (local $yy f64) (local $steps i32)
    (loop $step
      (local.set $xx (f64.mul (local.get $x) (local.get $x)))
      (local.set $yy (f64.mul (local.get $y) (local.get $y)))
      (if (f64.gt (f64.add (local.get $xx) (local.get $yy)) (f64.const 4))
        (then
          (return (i32.load8_u offset=1024
            (i32.rem_u (call $logarithm (local.get $steps)) (global.get $colours))))))
      (local.set $y (f64.add (local.get $cy)
        (f64.mul (f64.const 2) (f64.mul (local.get $x) (local.get $y)))))
      (local.set $x (f64.add (local.get $cx) (f64.sub (local.get $xx) (local.get $yy))))
      (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
      (br_if $step (i32.lt_u (local.get $steps) (global.get $depth))))
    (global.get $black))

  ;; Eight times the binary logarithm of a number above 0: equal ratios become equal distances, so
  ;; that colours change as slowly deep down as they do far away.
  (func $logarithm (param $n i32) (result i32)
    (local $log2 i32)
    (local.set $log2 (i32.sub (i32.const 31) (i32.clz (local.get $n))))
    (i32.add
      (i32.shl (local.get $log2) (i32.const 3))
      (i32.and
        (i32.shr_u (i32.shl (local.get $n) (i32.const 3)) (local.get $log2))
        (i32.const 7))))

  ;; Appends `length` bytes at `from` to the frame.
  (func $text (param $from i32) (param $length i32)
    (memory.copy (global.get $end) (local.get $from) (local.get $length))
    (global.set $end (i32.add (global.get $end) (local.get $length))))

  ;; Appends a number in decimal.
  (func $number (param $value i32)
    (if (i32.ge_u (local.get $value) (i32.const 10))
      (then (call $number (i32.div_u (local.get $value) (i32.const 10)))))
    (i32.store8 (global.get $end)
      (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10))))
    (global.set $end (i32.add (global.get $end) (i32.const 1))))

  ;; Writes the frame, however many calls that takes, and begins an empty one.
  (func $flush
    (local $at i32)
    (local.set $at (i32.const 4096))
    (loop $more
      (i32.store (i32.const 0) (local.get $at))
      (i32.store (i32.const 4) (i32.sub (global.get $end) (local.get $at)))
      ;; Nobody is watching any more: that is the end.
      (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
        (then (call $proc_exit (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
      (br_if $more (i32.lt_u (local.get $at) (global.get $end))))
    (global.set $end (i32.const 4096)))

  ;; Sleeps for some nanoseconds, by a subscription to the monotonic clock.
  (func $sleep (param $nanoseconds i64)
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (local.get $nanoseconds))
    (drop (call $poll_oneoff
      (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 8)))))
