//! Programs with threads: how they end, and what is said of it.

use crate::support::{Bench, Outcome};

/// A program that starts a thread which does `thread`, and then `first`; both can notify word 0.
fn threaded(thread: &str, first: &str) -> String {
    format!(
        r#"(module
        (import "env" "memory" (memory 1 9 shared))
        (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (export "memory" (memory 0))
        (tag $oops (param i32))
        (data (i32.const 64) "\50\00\00\00\0f\00\00\00") (data (i32.const 80) "from a thread.\n")
        (func $print (drop (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 72))))
        (func $done
            (i32.atomic.store (i32.const 0) (i32.const 1))
            (drop (memory.atomic.notify (i32.const 0) (i32.const -1))))
        (func $wait (result i32)
            (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
        (func $begin (export "begin") (result i32)
            (drop (call $spawn (i32.const 7)))
            (drop (call $wait))
            (i32.atomic.load (i32.const 0)))
        (func $thread (export "wasi_thread_start") (param $id i32) (param $argument i32) {thread})
        (func $main (export "_start") (drop (call $spawn (i32.const 7))) {first}))"#
    )
}

fn run(thread: &str, first: &str, options: &[&str]) -> Outcome {
    let bench = Bench::with("p.wat", threaded(thread, first));
    bench.run(&[&["run"], options, &["p.wat"]].concat())
}

const SPIN: &str = "(loop $l (br $l))";
const WAIT: &str = "(drop (call $wait))";

#[test]
fn a_thread_s_exit_code_is_the_program_s() {
    for first in [SPIN, WAIT] {
        let outcome = run("(call $exit (local.get $argument))", first, &[]);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(7), ""), "{outcome:?}");
    }
    run("(call $exit (i32.const 0))", WAIT, &[]).succeeds_with("");
    run(SPIN, "", &[]).succeeds_with("");
}

#[test]
fn a_thread_s_trap_or_exception_is_shown_with_its_frames() {
    let trapped = run("unreachable", WAIT, &[]);
    assert_eq!(trapped.code, Some(134), "{trapped:?}");
    trapped.complains_of(&["wasm trap: unreachable", "!thread"]);
    let thrown = run("(throw $oops (local.get $id))", SPIN, &[]);
    assert_eq!(thrown.code, Some(134), "{thrown:?}");
    thrown.complains_of(&["uncaught exception (tag (param i32))", "!thread"]);
}

#[test]
fn a_thread_prints_while_the_first_waits_also_for_one_function() {
    let prints = "(call $print) (call $done)";
    run(prints, WAIT, &[]).succeeds_with("from a thread.\n");
    run(prints, "", &["--invoke", "begin"]).succeeds_with("from a thread.\n1\n");
}

#[test]
fn a_timeout_stops_all_threads() {
    for (thread, first) in [(SPIN, WAIT), (WAIT, SPIN)] {
        let outcome = run(thread, first, &["--timeout", "100ms"]);
        assert_eq!(outcome.code, Some(134), "{outcome:?}");
        outcome.complains_of(&["--timeout of 100ms"]);
    }
}

#[test]
fn a_program_that_cannot_start_threads_is_told_what_it_lacks() {
    let without = threaded("", WAIT).replace("wasi_thread_start", "another");
    let outcome = Bench::with("p.wat", without).run(&["run", "p.wat"]);
    outcome.is_refused_with(&["wasi_thread_start"]);
}
