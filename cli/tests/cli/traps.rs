//! Programs that trap: 134, the trap's text, and the wasm frames with their names.

use crate::support::Bench;

#[test]
fn a_trap_ends_with_134_and_a_backtrace_with_names() {
    let program = r#"(module $inner_module
        (memory 1)
        (func $leaf (param i32) (result i32) (i32.load (local.get 0)))
        (func $middle (result i32) (call $leaf (i32.const 65533)))
        (func $outer (export "_start") (drop (call $middle))))"#;
    let outcome = Bench::with("p.wat", program).run(&["run", "p.wat"]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(134), ""), "{outcome:?}");
    let text = "out of bounds memory access at 0x10000 of a memory of 0x10000 bytes (memory 0)";
    outcome.complains_of(&[&format!("error: wasm trap: {text}\n"), "wasm backtrace:"]);
    let frames: Vec<&str> = outcome.stderr.lines().skip(2).collect();
    assert_eq!(frames.len(), 3, "{outcome:?}");
    for (frame, name) in frames.iter().zip(["leaf", "middle", "outer"]) {
        assert!(frame.contains("inner_module") && frame.contains(name), "{outcome:?}");
        assert!(frame.contains("0x"), "the offset is missing in {outcome:?}");
    }
}

#[test]
fn functions_without_a_name_are_shown_by_their_index() {
    let program = r#"(module (func unreachable) (func (call 0))
        (func (export "_start") (call 1)))"#;
    let outcome = Bench::with("p.wat", program).run(&["run", "p.wat"]);
    assert_eq!(outcome.code, Some(134));
    outcome.complains_of(&["wasm trap: unreachable", "wasm function 0", "wasm function 1"]);
}

#[test]
fn every_kind_of_trap_says_what_it_is() {
    for (body, text) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "integer overflow"),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", "invalid conversion to integer"),
        ("(drop (i32.trunc_f32_s (f32.const 1e10)))", "integer overflow"),
        ("(call_indirect (i32.const 0))", "uninitialized element"),
        ("(call_indirect (i32.const 9))", "undefined element"),
        ("(call_indirect (param i32) (i32.const 0) (i32.const 1))", "indirect call type mismatch"),
        ("(drop (table.get 0 (i32.const 9)))", "out of bounds table access"),
        ("(memory.fill (i32.const 65536) (i32.const 0) (i32.const 1))", "out of bounds memory"),
        ("(call $start)", "call stack exhausted"),
    ] {
        let program = format!(
            r#"(module (memory 1) (table 2 funcref) (elem (i32.const 1) $start)
                (func $start (export "_start") {body}))"#
        );
        let outcome = Bench::with("p.wat", program).run(&["run", "p.wat"]);
        assert_eq!(outcome.code, Some(134), "{body}: {outcome:?}");
        outcome.complains_of(&["error: wasm trap: ", text, "wasm backtrace:", "start"]);
    }
}

#[test]
fn output_before_a_trap_is_not_lost() {
    let text = crate::support::printing("before ");
    let text = text.replacen("(func (export \"_start\")", "(func $print", 1);
    let text = format!(
        "{} (func (export \"_start\") (call $print) unreachable))",
        text.strip_suffix(')').expect("a module")
    );
    let outcome = Bench::with("p.wat", text).run(&["run", "p.wat"]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(134), "before "), "{outcome:?}");
}

#[test]
fn a_pointer_that_wasi_may_not_be_given_ends_the_program_with_its_frames() {
    let program = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func $outer (export "_start")
            (drop (call $fd_write (i32.const 1) (i32.const 65532) (i32.const 1) (i32.const 0)))))"#;
    let outcome = Bench::with("p.wat", program).run(&["run", "p.wat"]);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    outcome.complains_of(&["error: ", "beyond the end of the memory", "wasm backtrace:", "outer"]);
}

#[test]
fn touching_more_than_may_be_resident_is_a_trap_of_its_own() {
    let program = r#"(module (memory 1000)
        (func (export "_start") (local i32)
          (loop (i32.store (local.get 0) (i32.const 1))
            (br_if 0 (i32.lt_u
              (local.tee 0 (i32.add (local.get 0) (i32.const 65536))) (i32.const 65536000))))))"#;
    let bench = Bench::with("p.wat", program);
    assert_eq!(bench.run(&["run", "p.wat"]).code, Some(0));
    for limit in [["--resident-limit", "2M"], ["--resident-budget", "2M"]] {
        let outcome = bench.run(&[&["run"], &limit[..], &["p.wat"]].concat());
        assert_eq!(outcome.code, Some(134), "{outcome:?}");
        outcome.complains_of(&["error: wasm trap: resident memory limit exceeded"]);
    }
    for any in ["off", "auto", "1G"] {
        assert_eq!(bench.run(&["run", "--resident-budget", any, "p.wat"]).code, Some(0), "{any}");
    }
    let outcome = bench.run(&["run", "--resident-budget", "much", "p.wat"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    outcome
        .complains_of(&["'--resident-budget", "write K, M, G or T, as in 64M, or `auto` or `off`"]);
    let demand = ["run", "--pager", "demand", "--resident-budget", "1M", "p.wat"];
    bench.run(&demand).is_refused_with(&["cannot limit what is resident"]);
}

/// What the kernel or the host is asked to put into guest memory beyond the budget is an error, not the end of the process.
#[test]
fn calls_that_would_go_over_the_budget_return_an_error() {
    let program = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1000)
        (func (export "_start")
          (i32.store (i32.const 0) (i32.const 0x1000000))
          (i32.store (i32.const 4) (i32.const 0x800000))
          (call $exit (i32.add
            (i32.eqz (call $random (i32.const 0x800000) (i32.const 0x800000)))
            (i32.mul (i32.const 2)
              (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))))))"#;
    let bench = Bench::with("p.wat", program);
    for pager in ["auto", "protect", "eager"] {
        let run =
            |budget| bench.run(&["run", "--pager", pager, "--resident-budget", budget, "p.wat"]);
        assert_eq!(run("off").code, Some(3), "{pager}");
        assert_eq!(run("2M").code, Some(0), "{pager}");
    }
}
