//! The program where the process may map little.

use crate::support::{Bench, Outcome, printing};
use std::process::{Command, Stdio};

/// The outcome under `ulimit -v KIB`.
fn run_within(bench: &Bench, kib: u64, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {kib}; exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_seqfault")).args(arguments);
    let output = command.current_dir(bench.path()).stdin(Stdio::null()).output();
    Outcome::of(output.expect("the shell starts"))
}

#[test]
fn a_program_runs_in_little_address_space_and_a_note_says_so_once() {
    let bench = Bench::with("p.wat", printing("hello"));
    for kib in [250_000, 1_000_000, 4_000_000, 8_000_000] {
        for options in [&["run"][..], &["run", "--eager"], &["run", "--timeout", "60s"]] {
            let found = run_within(&bench, kib, &[options, &["p.wat"]].concat());
            assert_eq!((found.code, &*found.stdout), (Some(0), "hello"), "{kib}: {found:?}");
            let bytes = kib * 1024;
            let note = format!("note: this process may map only {bytes} bytes (`ulimit -v`): ");
            assert_eq!(found.stderr.matches(&note).count(), 1, "{found:?}");
            assert_eq!(found.stderr.lines().count(), 1, "{found:?}");
        }
    }
    // Nothing is said where nothing is chosen, or where it was asked for.
    assert_eq!(bench.run(&["run", "p.wat"]).stderr, "");
    assert_eq!(bench.run(&["run", "--address-space", "scarce", "p.wat"]).stderr, "");
    let found = run_within(&bench, 4_000_000, &["run", "--address-space", "scarce", "p.wat"]);
    assert_eq!((found.code, &*found.stdout, &*found.stderr), (Some(0), "hello", ""));
}

#[test]
fn what_does_not_fit_names_the_limit_and_the_remedy() {
    let bench = Bench::with("p.wat", printing("hello"));
    bench.write("large.wat", "(module (memory 65536) (func (export \"_start\")))");
    for arguments in [&["run", "--address-space", "ample", "p.wat"][..], &["run", "large.wat"]] {
        let found = run_within(&bench, 4_000_000, arguments);
        assert_eq!(found.code, Some(1), "{found:?}");
        for part in ["4096000000", "ulimit -v", "--address-space scarce"] {
            assert!(found.stderr.contains(part), "{part}: {found:?}");
        }
    }
}

#[test]
fn threads_and_scripts_run_in_little_address_space() {
    let bench = Bench::with(
        "t.wat",
        r#"(module
            (import "env" "memory" (memory 1 65536 shared))
            (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
            (export "memory" (memory 0))
            (func (export "wasi_thread_start") (param i32 i32)
                (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
                (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
            (func (export "_start") (local $left i32) (local $seen i32)
                (local.set $left (i32.const 12))
                (loop $again
                    (if (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))
                    (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                (loop $wait
                    (local.set $seen (i32.atomic.load (i32.const 0)))
                    (if (i32.ne (local.get $seen) (i32.const 12)) (then
                        (drop (memory.atomic.wait32
                            (i32.const 0) (local.get $seen) (i64.const 10000000)))
                        (br $wait))))))"#,
    );
    let script = r#"(module (memory 1) (func (export "f") (param i32) (result i32)
            (i32.load (local.get 0))))
        (assert_return (invoke "f" (i32.const 65532)) (i32.const 0))
        (assert_trap (invoke "f" (i32.const 65533)) "out of bounds memory access")"#;
    bench.write("s.wast", script.repeat(300));
    for kib in [1_000_000, 4_000_000] {
        let found = run_within(&bench, kib, &["run", "t.wat"]);
        assert_eq!(found.code, Some(0), "{kib}: {found:?}");
        let found = run_within(&bench, kib, &["wast", "s.wast"]);
        assert_eq!(found.code, Some(0), "{kib}: {found:?}");
        assert_eq!(found.stderr.matches("note: ").count(), 1, "{found:?}");
    }
}
