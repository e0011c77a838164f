//! `--timeout` ends whatever the program, or we for it, are doing.

use crate::support::{Bench, Outcome};
use std::process::Stdio;
use std::time::{Duration, Instant};

const LIMIT: &str = "200ms";

/// How long all of it may take: the limit, the grace, and what a busy machine takes.
const MOST: Duration = Duration::from_millis(2_500);

/// What takes far longer, each in its own way: a file, and options.
fn cases() -> Vec<(&'static str, String, &'static [&'static str])> {
    let many = |count: usize, text: &str| text.repeat(count);
    vec![
        ("a loop", r#"(module (func (export "_start") (loop $l (br $l))))"#.to_owned(), &[]),
        (
            "a start function",
            "(module (func $f (loop $l (br $l))) (start $f) (func (export \"_start\")))".to_owned(),
            &[],
        ),
        (
            "memory.fill",
            r#"(module (memory 65535) (func (export "_start")
                (memory.fill (i32.const 0) (i32.const 1) (i32.const 0xffff0000))))"#
                .to_owned(),
            &[],
        ),
        (
            "tables",
            format!(
                "(module (func $f (export \"_start\")) {})",
                many(99, "(table 10000000 (ref func) (ref.func $f))")
            ),
            &[],
        ),
        (
            "array.new of nearly all of the heap, again and again",
            r#"(module (type $a (array (mut i8))) (func (export "_start") (loop $l
                (drop (array.new $a (i32.const 1) (i32.const 900000000))) (br $l))))"#
                .to_owned(),
            &[],
        ),
        (
            "array.fill of nearly all of the heap, again and again",
            r#"(module (type $a (array (mut v128))) (func (export "_start") (local $a (ref $a))
                (local.set $a (array.new_default $a (i32.const 60000000)))
                (loop $l
                  (array.fill $a (local.get $a) (i32.const 0) (v128.const i64x2 1 2) (i32.const 60000000))
                  (br $l))))"#
                .to_owned(),
            &[],
        ),
        (
            "table.fill and table.grow without a loop",
            format!(
                "(module (table $t 9000000 funcref) (func $f (export \"_start\") {}))",
                many(
                    400,
                    "(table.fill $t (i32.const 0) (ref.func $f) (i32.const 9000000))
                     (drop (table.grow $t (ref.func $f) (i32.const 2000)))"
                )
            ),
            &[],
        ),
        (
            "a list that never ends",
            r#"(module (type $n (struct (field (ref null $n)))) (func (export "_start")
                (local $l (ref null $n))
                (loop $l (local.set $l (struct.new $n (local.get $l))) (br $l))))"#
                .to_owned(),
            &[],
        ),
        (
            "an eager compilation",
            format!(
                "(module (func (export \"_start\")) {})",
                many(
                    2_000,
                    &format!(
                        "(func (param i32) {})",
                        many(200, "(drop (i32.popcnt (local.get 0)))")
                    )
                )
            ),
            &["--eager"],
        ),
        ("a long text", format!("(module {})", many(400_000, "(func (nop) (nop))")), &[]),
    ]
}

#[test]
fn everything_ends_within_the_limit_and_a_little() {
    for (name, text, options) in cases() {
        let bench = Bench::with("p.wat", text);
        let begun = Instant::now();
        let arguments = [&["run", "--timeout", LIMIT], options, &["p.wat"]].concat();
        let outcome = bench.run(&arguments);
        let took = begun.elapsed();
        assert_eq!(outcome.code, Some(134), "{name}: {outcome:?}");
        outcome.complains_of(&["error: ", "ran longer than its --timeout of 200ms"]);
        assert!(took < MOST, "{name}: {took:?}");
    }
}

#[test]
fn a_program_that_never_comes_from_standard_input_ends_as_well() {
    let bench = Bench::new();
    let mut command = bench.command(&["run", "--timeout", LIMIT, "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let held_open = child.stdin.take();
    let outcome = Outcome::of(child.wait_with_output().expect("the program ends"));
    drop(held_open);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.complains_of(&["error: ", "ran longer than its --timeout of 200ms"]);
    assert!(begun.elapsed() < MOST, "{:?}", begun.elapsed());
}
