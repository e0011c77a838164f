//! Programs that do what they should: output, arguments, environment, files, exit codes.

use crate::support::{Bench, Outcome, printing};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Copies standard input to standard output.
const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read"
        (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (loop $more
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 4096))
            (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
                (then unreachable))
            (if (i32.load (i32.const 8))
                (then
                    (i32.store (i32.const 4) (i32.load (i32.const 8)))
                    (drop (call $fd_write
                        (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
                    (br $more))))))"#;

/// Prints a list of C strings, one a line: arguments or environment, by the functions' names.
fn listing(sizes: &str, get: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "{sizes}"
                (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "{get}" (func $get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write"
                (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (local $at i32)
                (drop (call $sizes (i32.const 0) (i32.const 4)))
                (drop (call $get (i32.const 1024) (i32.const 8192)))
                ;; Every terminating zero becomes a newline.
                (local.set $at (i32.const 8192))
                (block $done
                    (loop $next
                        (br_if $done (i32.ge_u
                            (local.get $at)
                            (i32.add (i32.const 8192) (i32.load (i32.const 4)))))
                        (if (i32.eqz (i32.load8_u (local.get $at)))
                            (then (i32.store8 (local.get $at) (i32.const 10))))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br $next)))
                (i32.store (i32.const 8) (i32.const 8192))
                (i32.store (i32.const 12) (i32.load (i32.const 4)))
                (drop (call $fd_write
                    (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))"#
    )
}

/// Exits with a code of its own.
fn exiting(code: i32) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const {code})) unreachable))"#
    )
}

#[test]
fn a_text_program_prints_and_succeeds() {
    let bench = Bench::with("hello.wat", printing("hello, world"));
    bench.run(&["run", "hello.wat"]).succeeds_with("hello, world");
}

#[test]
fn text_and_binary_are_told_apart_by_their_bytes_not_by_their_names() {
    let text = printing("same");
    let bench = Bench::with("text.wasm", &text);
    bench.write("binary.wat", wat::parse_str(&text).expect("it is text"));
    bench.run(&["run", "text.wasm"]).succeeds_with("same");
    bench.run(&["run", "binary.wat"]).succeeds_with("same");
}

#[test]
fn every_engine_option_leaves_a_program_what_it_is() {
    let bench = Bench::with("p.wat", printing("same"));
    for options in [
        &["--eager"][..],
        &["--nan-canonicalization"],
        &["--relaxed-simd-deterministic"],
        &["--memory64-reservation", "8G"],
        &["--pager", "protect"],
        &["--pager", "eager"],
        &["--no-speculation"],
        &["--max-wasm-stack", "16M"],
        &["--memory-limit", "64K"],
        &["--table-limit", "0"],
        &["--descriptor-limit", "0"],
        &["--timeout", "1m"],
        &["--eager", "--pager=protect", "--timeout=90s"],
    ] {
        bench.run(&[&["run"], options, &["p.wat"]].concat()).succeeds_with("same");
    }
}

#[test]
fn a_dash_reads_the_program_from_standard_input() {
    let text = printing("from a pipe");
    let binary = wat::parse_str(&text).expect("it is text");
    let bench = Bench::new();
    bench.run_with_input(&["run", "-"], text.as_bytes()).succeeds_with("from a pipe");
    bench.run_with_input(&["run", "-"], &binary).succeeds_with("from a pipe");
}

#[test]
fn the_program_reads_standard_input() {
    let bench = Bench::with("cat.wat", CAT);
    let input = "line\n".repeat(10_000);
    bench.run_with_input(&["run", "cat.wat"], input.as_bytes()).succeeds_with(&input);
}

#[test]
fn everything_behind_the_file_belongs_to_the_program() {
    let bench = Bench::with("folder/args.wat", listing("args_sizes_get", "args_get"));
    let outcome = bench.run(&[
        "run",
        "folder/args.wat",
        "one",
        "--two",
        "-3",
        "--timeout",
        "--help",
        "--",
        "last one",
    ]);
    outcome.succeeds_with("args.wat\none\n--two\n-3\n--timeout\n--help\n--\nlast one\n");
    // Our own options are before the file, even those that every command has.
    let outcome = bench.run(&["run", "folder/args.wat", "--help"]);
    outcome.succeeds_with("args.wat\n--help\n");
}

#[test]
fn a_program_can_be_given_another_name() {
    let bench = Bench::with("folder/args.wat", listing("args_sizes_get", "args_get"));
    for name in ["clang++", "/bin/two words", "-x", ""] {
        let argv0 = format!("--argv0={name}");
        let outcome = bench.run(&["run", &argv0, "folder/args.wat", "one"]);
        outcome.succeeds_with(&format!("{name}\none\n"));
    }
}

#[test]
fn what_objects_take_up_can_be_limited() {
    let bench = Bench::with(
        "list.wat",
        r#"(module
            (rec (type $node (struct (field (ref null $node)))))
            (global $list (mut (ref null $node)) (ref.null $node))
            (func (export "_start") (local $left i32)
                (local.set $left (i32.const 200000))
                (loop $again
                    (global.set $list (struct.new $node (global.get $list)))
                    (br_if $again
                        (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#,
    );
    bench.run(&["run", "list.wat"]).succeeds_with("");
    bench.run(&["run", "--gc-heap-limit", "64M", "list.wat"]).succeeds_with("");
    let outcome = bench.run(&["run", "--gc-heap-limit", "1M", "list.wat"]);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.complains_of(&["GC heap out of memory"]);
}

#[test]
fn the_environment_holds_what_was_given_and_nothing_else() {
    let bench = Bench::with("env.wat", listing("environ_sizes_get", "environ_get"));
    bench.run(&["run", "env.wat"]).succeeds_with("");
    let mut command = bench.command(&[
        "run",
        "--env",
        "A=1",
        "--env",
        "B=x=y",
        "--env=MINE",
        "--env=NOT",
        "env.wat",
    ]);
    command.env("MINE", "inherited").env_remove("NOT");
    let outcome = Outcome::of(command.output().expect("the program starts"));
    outcome.succeeds_with("A=1\nB=x=y\nMINE=inherited\n");
}

#[test]
fn the_exit_code_is_the_programs_own() {
    for (code, seen) in [(0, 0), (1, 1), (42, 42), (255, 255), (256, 1), (-1, 255)] {
        let bench = Bench::with("exit.wat", exiting(code));
        let outcome = bench.run(&["run", "exit.wat"]);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(seen), ""), "{code}");
    }
}

#[test]
fn the_start_function_of_a_module_runs_before_start() {
    let text = printing("start, ").replace("(export \"_start\")", "$first");
    let text = format!(
        "{} (start $first) (func (export \"_start\") (call $first)))",
        text.strip_suffix(')').expect("a module")
    );
    Bench::with("p.wat", text).run(&["run", "p.wat"]).succeeds_with("start, start, ");
}

#[test]
fn a_program_reaches_the_directories_it_was_given_by_their_names() {
    // Opens `in/x` relative to descriptor 3 and copies it to standard output.
    let program = r#"(module
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read"
            (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
            (func $name (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "in/x")
        (func (export "_start")
            (if (call $name (i32.const 3) (i32.const 2048) (i32.const 6)) (then unreachable))
            (call $print (i32.const 2048) (i32.const 6))
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4)
                    (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32))
                (then unreachable))
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 512))
            (if (call $read (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 8))
                (then unreachable))
            (call $print (i32.const 1024) (i32.load (i32.const 8))))
        (func $print (param i32 i32)
            (i32.store (i32.const 0) (local.get 0))
            (i32.store (i32.const 4) (local.get 1))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let bench = Bench::with("p.wat", program);
    bench.write("data/in/x", ", the contents");
    let outcome = bench.run(&["run", "--dir", "data::/guest", "p.wat"]);
    outcome.succeeds_with("/guest, the contents");
}

#[test]
fn a_timeout_stops_a_program_that_computes() {
    let spin = r#"(module (func $spin (export "_start") (loop $l (br $l))))"#;
    times_out(spin);
}

#[test]
fn a_timeout_that_is_over_at_once_stops_a_program_that_computes() {
    let bench = Bench::with("p.wat", r#"(module (func (export "_start") (loop $l (br $l))))"#);
    // It may be over before the program begins, or just when it does.
    for timeout in ["0ms", "1ms"].repeat(20) {
        let outcome = bench.run(&["run", "--timeout", timeout, "p.wat"]);
        assert_eq!(outcome.code, Some(134), "{outcome:?}");
    }
}

#[test]
fn a_timeout_stops_a_program_whose_output_nobody_reads() {
    let program = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\00\ff\00\00")
        (func (export "_start")
            (loop $l
                (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (br $l))))"#;
    let bench = Bench::with("p.wat", program);
    let mut command = bench.command(&["run", "--timeout", "300ms", "p.wat"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // Held open, and not read.
    let output = child.stdout.take();
    let outcome = Outcome::of(child.wait_with_output().expect("the program ends"));
    drop(output);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.complains_of(&["--timeout of 300ms"]);
}

#[test]
fn a_timeout_stops_a_program_that_waits() {
    times_out(CAT);
}

#[track_caller]
fn times_out(program: &str) {
    let bench = Bench::with("p.wat", program);
    let mut command = bench.command(&["run", "--timeout", "300ms", "p.wat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    // Held open, so that reading it waits.
    let input = child.stdin.take();
    let outcome = Outcome::of(child.wait_with_output().expect("the program ends"));
    drop(input);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.complains_of(&["error: ", "--timeout of 300ms"]);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[test]
fn a_memory_limit_keeps_a_program_from_growing() {
    let grow = r#"(module (memory (export "memory") 1)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let bench = Bench::with("p.wat", grow);
    let run = |limit: &str, pages: &str| {
        bench.run(&["run", "--memory-limit", limit, "--invoke", "grow", "p.wat", pages])
    };
    run("128K", "1").succeeds_with("1\n");
    run("128K", "2").succeeds_with("-1\n");
}

#[test]
fn limits_are_for_the_sum_of_what_a_program_has() {
    let several = r#"(module (memory 1) (memory 2) (table 3 funcref) (table 4 externref)
        (func (export "memory") (param i32) (result i32) (memory.grow 1 (local.get 0)))
        (func (export "table") (param i32) (result i32)
            (table.grow 1 (ref.null extern) (local.get 0))))"#;
    let bench = Bench::with("p.wat", several);
    let run = |option: &str, limit: &str, function: &str, by: &str| {
        bench.run(&["run", option, limit, "--invoke", function, "p.wat", by])
    };
    run("--memory-limit", "256K", "memory", "1").succeeds_with("2\n");
    run("--memory-limit", "256K", "memory", "2").succeeds_with("-1\n");
    run("--memory-limit", "191K", "memory", "0").is_refused_with(&[
        "limiter",
        "131072 bytes",
        "--memory-limit",
    ]);
    run("--table-limit", "10", "table", "3").succeeds_with("4\n");
    run("--table-limit", "10", "table", "4").succeeds_with("-1\n");
    run("--table-limit", "6", "table", "0").is_refused_with(&[
        "limiter",
        "4 elements",
        "--table-limit",
    ]);
}

#[test]
fn a_descriptor_limit_holds_with_what_the_program_is_given() {
    // It opens its directory until it cannot, and returns how often it could.
    let opener = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
          (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) ".")
        (func (export "count") (result i32) (local $opened i32)
          (loop
            (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2)
                (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))
              (then (local.set $opened (i32.add (local.get $opened) (i32.const 1))) (br 1))))
          (local.get $opened)))"#;
    let bench = Bench::with("p.wat", opener);
    let run = |limit: &str| {
        let options = ["run", "--dir", ".", "--descriptor-limit", limit, "--invoke", "count"];
        bench.run(&[&options[..], &["p.wat"]].concat())
    };
    run("10").succeeds_with("6\n");
    run("0").succeeds_with("0\n");
}

#[test]
fn a_memory_limit_holds_for_shared_memories_from_the_start() {
    let threaded = r#"(module (import "env" "memory" (memory 2 9 shared))
        (import "wasi" "thread-spawn" (func (param i32) (result i32)))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let bench = Bench::with("p.wat", threaded);
    let run = |limit: &str, pages: &str| {
        bench.run(&["run", "--memory-limit", limit, "--invoke", "grow", "p.wat", pages])
    };
    run("64K", "0").is_refused_with(&["`env::memory`", "131072 bytes", "--memory-limit"]);
    run("128K", "0").succeeds_with("2\n");
    run("128K", "1").succeeds_with("-1\n");
    run("192K", "1").succeeds_with("2\n");
}

#[test]
fn a_deep_program_runs_when_it_is_given_the_stack() {
    let deep = r#"(module (func $f (export "f") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;
    let bench = Bench::with("p.wat", deep);
    let outcome = bench.run(&["run", "--invoke", "f", "p.wat", "1000000"]);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.complains_of(&["call stack exhausted"]);
    let stack = ["run", "--max-wasm-stack", "256M", "--invoke", "f", "p.wat", "1000000"];
    bench.run(&stack).succeeds_with("1000000\n");
}

#[test]
fn a_closed_pipe_is_no_reason_to_panic() {
    let bench = Bench::with("p.wat", r#"(module (func (export "f") (result i32) i32.const 7))"#);
    let mut command = bench.command(&["run", "--invoke", "f", "p.wat"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped());
    let outcome = Outcome::of(command.output().expect("the program starts"));
    outcome.is_refused_with(&["standard output", "pipe"]);
}
