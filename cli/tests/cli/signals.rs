//! The program without signals, and under valgrind.

use crate::support::{Bench, Outcome};
use std::process::{Command, Stdio};

/// Waits for standard input, then ends.
const WAITING: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\01\00\00\00")
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// The signals that the program handles while a guest runs: a bit each, as in `SigCgt` of proc(5).
fn handled(options: &[&str]) -> u64 {
    let bench = Bench::with("p.wat", WAITING);
    let mut command = bench.command(&[&["run"], options, &["p.wat"]].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    // Its first byte says that the guest runs.
    let mut byte = [0];
    let mut stdout = child.stdout.take().expect("a pipe");
    std::io::Read::read_exact(&mut stdout, &mut byte).expect("the guest writes");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("proc");
    drop(child.stdin.take());
    assert!(child.wait().expect("the program ends").success());
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("SigCgt");
    u64::from_str_radix(line.trim(), 16).expect("a number")
}

#[test]
fn without_signals_no_handler_is_installed() {
    const ILL_FPE: u64 = 1 << (4 - 1) | 1 << (8 - 1);
    // The standard library handles SIGSEGV and SIGBUS by itself; of the other two only the engine knows.
    assert_eq!(handled(&[]) & ILL_FPE, ILL_FPE);
    assert_eq!(handled(&["--no-signals-based-traps"]) & ILL_FPE, 0);
}

#[test]
fn without_signals_a_trap_is_told_as_ever() {
    let program = r#"(module $m (memory 1)
        (func $leaf (param i32) (drop (i32.load (local.get 0))))
        (func (export "_start") (call $leaf (i32.const 65536))))"#;
    let bench = Bench::with("p.wat", program);
    let [with, without] = [&["run", "p.wat"][..], &["run", "--no-signals-based-traps", "p.wat"]]
        .map(|arguments| bench.run(arguments));
    assert_eq!(without.code, Some(134), "{without:?}");
    without.complains_of(&["wasm trap: out of bounds memory access", "leaf"]);
    assert_eq!(with.stderr, without.stderr);
}

#[test]
fn what_needs_signals_is_refused_without() {
    let bench = Bench::with("p.wat", "(module (func (export \"_start\")))");
    for more in [["--pager", "protect"], ["--resident-limit", "1M"], ["--resident-budget", "1M"]] {
        let arguments = [&["run", "--no-signals-based-traps"], &more[..], &["p.wat"]].concat();
        bench.run(&arguments).is_refused_with(&["needs signals"]);
    }
    bench.run(&["run", "--no-signals-based-traps", "--pager", "demand", "p.wat"]).succeeds_with("");
}

/// Touches many pages in every way and prints nothing; ends with a status that depends on each of them.
const TOUCHING: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1 512)
    (func $sum (param $at i32) (param $step i32) (result i32) (local $sum i32)
        (loop $again
            (i64.store (local.get $at) (i64.extend_i32_u (local.get $at)))
            (i32.store8 offset=100 (local.get $at) (i32.const 3))
            (i32.store16 offset=4094 (local.get $at) (i32.const 5))
            (local.set $sum (i32.add (i32.rotl (local.get $sum) (i32.const 5))
                (i32.add (i32.load (local.get $at))
                    (i32.add (i32.load8_u offset=100 (local.get $at))
                             (i32.load16_u offset=4094 (local.get $at))))))
            (local.set $at (i32.add (local.get $at) (local.get $step)))
            (br_if $again (i32.lt_u (local.get $at) (i32.const 16000000))))
        (local.get $sum))
    (func (export "_start") (local $sum i32)
        (drop (memory.grow (i32.const 255)))
        (local.set $sum (i32.xor (call $sum (i32.const 0) (i32.const 4096)) (call $sum (i32.const 77) (i32.const 12300))))
        (call $exit (i32.and (i32.const 127) (i32.xor (local.get $sum)
            (i32.xor (i32.shr_u (local.get $sum) (i32.const 7)) (i32.shr_u (local.get $sum) (i32.const 17))))))))"#;

#[test]
fn under_valgrind_the_results_are_the_same() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let bench = Bench::with("p.wat", TOUCHING);
    let native = bench.run(&["run", "p.wat"]);
    assert!(native.code.is_some_and(|code| code != 0), "{native:?}");
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=none", env!("CARGO_BIN_EXE_seqfault")]);
    command.args(["run", "p.wat"]).current_dir(bench.path()).stdin(Stdio::null());
    let checked = Outcome::of(command.output().expect("valgrind starts"));
    assert_eq!(checked.code, native.code, "{checked:?}");
    let note = "note: valgrind lets this process map little: ";
    assert!(checked.stderr.starts_with(note) && checked.stderr.lines().count() == 1, "{checked:?}");
}

#[test]
fn valgrind_has_room_for_memories_with_all_kinds_of_addresses() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let memories = "(memory i64 1 100000) (memory 1)".repeat(20);
    let text = format!(
        r#"(module {memories}
            (func (export "_start")
                (i64.store 38 (i64.const 65528) (i64.const 7))
                (i32.store 39 (i32.const 65532) (i32.const 7))
                (if (i64.ne (memory.grow 38 (i64.const 1000)) (i64.const 1)) (then unreachable))
                (i64.store 38 (i64.const 65600000) (i64.const 7))))"#
    );
    let bench = Bench::with("p.wat", text);
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=none", env!("CARGO_BIN_EXE_seqfault")]);
    command.args(["run", "p.wat"]).current_dir(bench.path()).stdin(Stdio::null());
    let outcome = Outcome::of(command.output().expect("valgrind starts"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}
