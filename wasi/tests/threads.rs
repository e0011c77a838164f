//! The threads of a guest: they run, they share, and they end together, wherever each one is.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use seqfault::{Config, Engine, Linker, Module, PagerKind, Result, Store, TrapCode};
use seqfault_wasi::{I32Exit, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, WasiThreads};

/// How long a process may take to end before the test says that it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all programs here begin with. Word 0 is what they wait on; nobody ever changes word 4.
const PRELUDE: &str = r#"
    (import "env" "memory" (memory 2 16 shared))
    (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (export "memory" (memory 0))
    (func $wait_for_ever (drop (memory.atomic.wait32 (i32.const 4) (i32.const 0) (i64.const -1))))
    (func $spin (loop $again (br $again)))
    (func $read_for_ever
      (i32.store (i32.const 64) (i32.const 128))
      (i32.store (i32.const 68) (i32.const 16))
      (drop (call $fd_read (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 72))))
    (func $write_for_ever
      (i32.store (i32.const 80) (i32.const 0))
      (i32.store (i32.const 84) (i32.const 131072))
      (loop $again
        (drop (call $fd_write (i32.const 1) (i32.const 80) (i32.const 1) (i32.const 88)))
        (br $again)))
    (func $sleep_for_ever
      (i32.store (i32.const 272) (i32.const 1))
      (i64.store (i32.const 280) (i64.const -1))
      (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 92))))
"#;

/// Runs a program with a standard input on which nothing ever comes, and an output that nobody reads.
fn run(config: &Config, program: &str) -> Result<()> {
    let ((reader, _writer), (_reader, writer)) =
        (rustix::pipe::pipe().unwrap(), rustix::pipe::pipe().unwrap());
    let ctx = WasiCtxBuilder::new().stdin_fd(reader).stdout_fd(writer);
    run_with(config, program, ctx.build().unwrap(), 1024)
}

fn run_with(config: &Config, program: &str, ctx: WasiCtx, maximum: usize) -> Result<()> {
    let text = format!("(module {PRELUDE} {program})");
    let mut config = config.clone();
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let outcome = (|| {
            let engine = Engine::new(config.epoch_interruption(true))?;
            let module = Module::new(&engine, text)?;
            let mut linker = Linker::new(&engine);
            seqfault_wasi::add_to_linker(&mut linker, |ctx| ctx)?;
            let threads = WasiThreads::with_limits(maximum, None);
            let fresh = move || Ok(Store::new(&engine, ctx.clone()));
            threads.add_to_linker(&mut linker, &fresh()?, &module)?;
            let pre = linker.instantiate_pre(&module)?;
            threads.run(
                &pre,
                fresh,
                |ctx| ctx,
                |store, instance| {
                    instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())
                },
            )
        })();
        done.send(outcome).unwrap();
    });
    ended.recv_timeout(PATIENCE).expect("the process hangs")
}

fn configs() -> [Config; 3] {
    let mut configs = [Config::new(), Config::new(), Config::new()];
    configs[1].pager(PagerKind::Protect);
    configs[2].speculation(false);
    configs
}

#[test]
fn threads_share_the_memory_and_have_their_own_globals() {
    let program = r#"
        (global $own (mut i32) (i32.const 0))
        ;; Adds its argument to a global of its own 100 times, then adds that to word 8.
        (func (export "wasi_thread_start") (param $id i32) (param $argument i32) (local $left i32)
          (local.set $left (i32.const 100))
          (loop $again
            (global.set $own (i32.add (global.get $own) (local.get $argument)))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (drop (i32.atomic.rmw.add (i32.const 8) (global.get $own)))
          (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
          (drop (memory.atomic.notify (i32.const 0) (i32.const -1))))
        (func (export "_start") (local $at i32) (local $done i32)
          (loop $again
            (if (i32.le_s (call $spawn (local.get $at)) (i32.const 0)) (then unreachable))
            (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 10))))
          (block $all (loop $again
            (br_if $all (i32.eq (local.tee $done (i32.atomic.load (i32.const 0))) (i32.const 10)))
            (drop (memory.atomic.wait32 (i32.const 0) (local.get $done) (i64.const -1)))
            (br $again)))
          (if (i32.ne (i32.atomic.load (i32.const 8)) (i32.const 4500)) (then unreachable)))
    "#;
    for config in configs() {
        run(&config, program).unwrap();
    }
}

/// A program whose first thread does `first`, after starting threads that do each of `others`.
fn program(first: &str, others: &[&str]) -> String {
    let spawns: String = (0..others.len())
        .map(|at| {
            format!(
                "(if (i32.le_s (call $spawn (i32.const {at})) (i32.const 0)) (then unreachable))"
            )
        })
        .collect();
    let cases: String = others
        .iter()
        .enumerate()
        .map(|(at, body)| {
            format!("(if (i32.eq (local.get $which) (i32.const {at})) (then {body}))")
        })
        .collect();
    format!(
        r#"(func (export "_start") {spawns} {first})
           (func (export "wasi_thread_start") (param $id i32) (param $which i32) {cases})"#
    )
}

/// All the places where a thread can be when another one ends the process.
const PLACES: [&str; 5] = [
    "(call $wait_for_ever)",
    "(call $spin)",
    "(call $read_for_ever)",
    "(call $write_for_ever)",
    "(call $sleep_for_ever)",
];

#[test]
fn the_first_thread_s_return_ends_all() {
    for config in configs() {
        run(&config, &program("", &PLACES)).unwrap();
    }
}

#[test]
fn an_exit_of_any_thread_ends_all_wherever_they_are() {
    for config in configs() {
        for first in PLACES {
            let others = [&PLACES[..], &["(call $exit (i32.const 42))"]].concat();
            let error = run(&config, &program(first, &others)).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&I32Exit(42)), "{error}");
        }
    }
}

#[test]
fn a_trap_of_any_thread_ends_all_and_is_the_outcome() {
    for first in PLACES {
        let others = [&PLACES[..], &["(i32.store (i32.const -1) (i32.const 0))"]].concat();
        let error = run(&Config::new(), &program(first, &others)).unwrap_err();
        let trap = error.trap().unwrap_or_else(|| panic!("no trap: {error}"));
        assert_eq!(trap.code(), TrapCode::MemoryOutOfBounds);
    }
}

#[test]
fn of_many_ends_at_once_one_is_the_outcome() {
    // Eight threads meet, then each ends the process in its own way; the first thread spins.
    let meet = r#"(drop (i32.atomic.rmw.add (i32.const 16) (i32.const 1)))
        (loop $l (br_if $l (i32.lt_u (i32.atomic.load (i32.const 16)) (i32.const 8))))"#;
    let ends: Vec<String> = (0..8)
        .map(|at| match at % 2 {
            0 => format!("{meet} unreachable"),
            _ => format!("{meet} (call $exit (i32.const {}))", 40 + at),
        })
        .collect();
    let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
    for _ in 0..20 {
        let error = run(&Config::new(), &program("(call $spin)", &ends)).unwrap_err();
        let code = error.trap().map(|trap| trap.code());
        let exit = error.downcast_ref::<I32Exit>().map(|exit| exit.0);
        assert!(
            code == Some(TrapCode::Unreachable) || matches!(exit, Some(41 | 43 | 45 | 47)),
            "{error}"
        );
    }
}

#[test]
fn a_stack_that_a_thread_exhausts_is_a_trap_like_any_other() {
    let text = r#"(func $deep (param i64) (result i64)
            (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
        (func (export "wasi_thread_start") (param i32 i32) (drop (call $deep (i64.const 0))))
        (func (export "_start") (drop (call $spawn (i32.const 0))) (call $spin))"#;
    let error = run(&Config::new(), text).unwrap_err();
    assert_eq!(error.trap().map(|trap| trap.code()), Some(TrapCode::StackOverflow));
}

#[test]
fn a_trap_of_the_first_thread_ends_all() {
    let error = run(&Config::new(), &program("unreachable", &PLACES)).unwrap_err();
    assert_eq!(error.trap().map(|trap| trap.code()), Some(TrapCode::Unreachable));
}

#[test]
fn threads_start_threads_and_write_through_one_context() {
    // Each writes a byte and starts the next one; the last one tells the first thread.
    let text = r#"
        (data (i32.const 1024) "0123456789")
        (func $write (param $at i32)
          (i32.store (i32.add (i32.const 2048) (i32.shl (local.get $at) (i32.const 4))) (i32.add (i32.const 1024) (local.get $at)))
          (i32.store (i32.add (i32.const 2052) (i32.shl (local.get $at) (i32.const 4))) (i32.const 1))
          (drop (call $fd_write (i32.const 1) (i32.add (i32.const 2048) (i32.shl (local.get $at) (i32.const 4)))
            (i32.const 1) (i32.add (i32.const 2056) (i32.shl (local.get $at) (i32.const 4))))))
        (func (export "wasi_thread_start") (param $id i32) (param $at i32)
          (call $write (local.get $at))
          (if (i32.lt_u (local.get $at) (i32.const 9))
            (then (drop (call $spawn (i32.add (local.get $at) (i32.const 1)))))
            (else
              (i32.atomic.store (i32.const 0) (i32.const 1))
              (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))))
        (func (export "_start")
          (drop (call $spawn (i32.const 0)))
          (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
    "#;
    let output = MemoryOutputPipe::new(100);
    let ctx = WasiCtxBuilder::new().stdout(output.clone()).build().unwrap();
    run_with(&Config::new(), text, ctx, 1024).unwrap();
    assert_eq!(output.contents(), b"0123456789");
}

#[test]
fn a_guest_is_told_when_it_has_enough_threads() {
    // Two may be there beside the first: the third spawn fails, with a negative number.
    let first = r#"
        (if (i32.ge_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))
    "#;
    let ctx = WasiCtxBuilder::new().build().unwrap();
    let text = program(first, &[PLACES[0], PLACES[1]]);
    run_with(&Config::new(), &text, ctx, 2).unwrap();
}

#[test]
fn threads_come_and_go() {
    // 2,000 threads one after the other; their ids are positive.
    let text = r#"
        (func (export "wasi_thread_start") (param $id i32) (param $at i32)
          (if (i32.le_s (local.get $id) (i32.const 0)) (then unreachable))
          (i32.atomic.store (i32.const 0) (local.get $at))
          (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
        (func (export "_start") (local $at i32)
          (loop $next
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (if (i32.le_s (call $spawn (local.get $at)) (i32.const 0)) (then unreachable))
            (loop $again
              (drop (memory.atomic.wait32 (i32.const 0) (i32.sub (local.get $at) (i32.const 1)) (i64.const -1)))
              (br_if $again (i32.ne (i32.atomic.load (i32.const 0)) (local.get $at))))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 2000)))))
    "#;
    run(&Config::new(), text).unwrap();
}
