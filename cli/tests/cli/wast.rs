//! `seqfault wast`: what passes, what fails, and how failures are shown.

use crate::support::{Bench, Outcome};

const GOOD: &str = r#"
(module $m (func (export "one") (result i32) (i32.const 1)) (memory (export "m") 1)
    (global (export "g") i64 (i64.const 9))
    (func (export "trap") unreachable) (func $deep (export "deep") (call $deep))
    (func (export "nan") (result f32) (f32.const nan:0x400001))
    (func (export "lanes") (result v128) (v128.const f32x4 1 nan -0 4))
    (func (export "id") (param externref) (result externref) (local.get 0)))
(assert_return (invoke "one") (i32.const 1))
(assert_return (invoke "one") (either (i32.const 0) (i32.const 1)))
(assert_return (get $m "g") (i64.const 9))
(assert_return (invoke "nan") (f32.const nan:arithmetic))
(assert_return (invoke "lanes") (v128.const f32x4 1 nan:canonical -0 4))
(assert_return (invoke "id" (ref.extern 7)) (ref.extern 7))
(assert_return (invoke "id" (ref.null extern)) (ref.null extern))
(assert_trap (invoke "trap") "unreachable")
(assert_exhaustion (invoke "deep") "call stack exhausted")
(register "M" $m)
(module definition $d (import "M" "one" (func (result i32))))
(module instance $i $d)
(module (import "spectest" "global_i32" (global i32)) (import "spectest" "memory" (memory 1 2))
    (import "spectest" "table" (table 10 20 funcref)) (import "spectest" "print_i32" (func (param i32)))
    (func (export "get") (result i32) (global.get 0)))
(assert_return (invoke "get") (i32.const 666))
(assert_invalid (module (func (result i32))) "type mismatch")
(assert_malformed (module quote "(func (i32.cnst 1))") "unknown operator")
(assert_malformed (module binary "\00asm\01\00\00") "unexpected end")
(assert_unlinkable (module (import "M" "two" (func))) "unknown import")
(assert_unlinkable (module (import "M" "one" (func))) "incompatible import type")
(assert_trap (module (memory 0) (data (i32.const 0) "x")) "out of bounds memory access")
"#;

fn wast(script: &str) -> Outcome {
    Bench::with("s.wast", script).run(&["wast", "s.wast"])
}

/// The script has this many directives that hold, and failures at these lines with these words.
#[track_caller]
fn fails(script: &str, passed: usize, failures: &[(&str, &str)]) {
    let outcome = wast(script);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(1), ""), "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let (sum, lines) = lines.split_last().expect("a sum");
    assert_eq!(*sum, format!("{passed} passed, {} failed", failures.len()), "{outcome:?}");
    assert_eq!(lines.len(), failures.len(), "{outcome:?}");
    for (line, (place, words)) in lines.iter().zip(failures) {
        assert!(line.starts_with(&format!("s.wast:{place}: ")), "{line}");
        assert!(line.contains(words), "no `{words}` in {line}");
    }
}

#[test]
fn a_script_that_holds_passes() {
    wast(GOOD).succeeds_with("21 passed, 0 failed\n");
}

#[test]
fn folders_are_searched_and_sums_are_made_over_all_scripts() {
    let bench = Bench::with("a/deep/1.wast", "(module) (module)");
    bench.write("a/2.wast", "(module)");
    bench.write("a/ignored.txt", "(nonsense)");
    bench.write("b.wast", "(module)");
    bench.run(&["wast", "a", "b.wast"]).succeeds_with("4 passed, 0 failed\n");
    bench.write("a/0.wast", "(assert_invalid (module) \"nothing\")");
    let outcome = bench.run(&["wast", "a", "b.wast"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.starts_with("a/0.wast:1:2: assert_invalid: "), "{outcome:?}");
    assert!(outcome.stdout.ends_with("\n4 passed, 1 failed\n"), "{outcome:?}");
}

#[test]
fn every_failure_is_shown_with_its_place_and_the_script_goes_on() {
    fails(
        r#"(module (func (export "f") (result i32) (i32.const 1)) (func (export "t") unreachable))
(assert_return (invoke "f") (i32.const 2))
(assert_return (invoke "f") (i64.const 1))
(assert_return (invoke "f"))
(assert_return (invoke "f") (i32.const 1))
  (assert_return (invoke "t"))
(assert_trap (invoke "f") "unreachable")
(assert_trap (invoke "t") "integer overflow")
(assert_return (invoke "absent"))
(assert_return (invoke $nobody "f") (i32.const 1))
(assert_invalid (module) "type mismatch")
(assert_malformed (module quote "(func)") "x")
(assert_unlinkable (module) "unknown import")
(assert_trap (module) "unreachable")
(assert_exhaustion (invoke "f") "call stack exhausted")
(invoke "t")
(register "x" $nobody)"#,
        2,
        &[
            ("2:2", "expected (i32.const 2), found (i32.const 1)"),
            ("3:2", "expected (i64.const 1), found (i32.const 1)"),
            ("4:2", "expected 0 result(s), found (i32.const 1)"),
            ("6:4", "found the trap `unreachable`"),
            ("7:2", "expected the trap `unreachable`, found (i32.const 1)"),
            ("8:2", "expected the trap `integer overflow`, found the trap `unreachable`"),
            ("9:2", "nothing is exported as \"absent\""),
            ("10:2", "no instance $nobody"),
            ("11:2", "expected an invalid module (type mismatch), found a module"),
            ("12:2", "expected a malformed module (x), found a module"),
            ("13:2", "expected the link error `unknown import`, found an instance"),
            ("14:2", "expected the trap `unreachable`, found no result"),
            ("15:2", "expected the trap `call stack exhausted`"),
            ("16:2", "expected a return, found the trap `unreachable`"),
            ("17:2", "no instance $nobody"),
        ],
    );
}

#[test]
fn what_follows_a_module_that_failed_does_not_run_on_the_one_before() {
    fails(
        r#"(module (func (export "f") (result i32) (i32.const 1)))
(module (func (result i32)))
(assert_return (invoke "f") (i32.const 1))"#,
        1,
        &[("2:2", "expected a module"), ("3:2", "no current instance")],
    );
}

#[test]
fn malformed_and_invalid_are_not_the_same() {
    fails(
        r#"(assert_invalid (module binary "\00asm\01\00\00") "x")
(assert_malformed
    (module binary "\00asm\01\00\00\00\01\05\01\60\00\01\7f\03\02\01\00\0a\04\01\02\00\0b") "x")"#,
        0,
        &[("1:2", "found malformed module"), ("2:2", "found invalid module")],
    );
}

#[test]
fn what_is_not_provided_fails_and_is_never_passed_over() {
    fails(
        "(thread $T (module))\n(wait $T)\n(assert_suspension (invoke \"f\") \"x\")\n(component)",
        3,
        &[("3:2", "suspensions are not provided"), ("4:2", "components are not provided")],
    );
}

#[test]
fn broken_scripts_fail_where_they_are_broken() {
    fails("(module)\n(assert_nothing)\n(module)", 2, &[("2:2", "expected")]);
    fails("(module)\n)(module)", 2, &[("2:1", "expected `(`")]);
    fails("(module)\n  (module", 1, &[("2:3", "never closed")]);
    fails("(module)\n(module \"\u{1}\")", 1, &[("2:", "")].map(|_| ("2:10", "")));
    fails("(assert_return (invoke \"f\") (i32.const x))", 0, &[("1:40", "i32")]);
    let deep = format!("(module)\n{}", "(".repeat(100_000));
    fails(&deep, 1, &[("2:1", "never closed")]);
}

#[test]
fn a_version_refuses_what_came_after_it() {
    let bench = Bench::with("s.wast", "(module (func (result i32 i32) i32.const 1 i32.const 2))");
    let run = |features| bench.run(&["wast", "--features", features, "s.wast"]);
    assert_eq!(run("wasm1").code, Some(1));
    for features in ["wasm2", "wasm3", "all"] {
        run(features).succeeds_with("1 passed, 0 failed\n");
    }
}

#[test]
fn missing_paths_and_empty_folders_are_named() {
    let bench = Bench::with("empty/readme.txt", "");
    bench.run(&["wast", "nowhere"]).is_refused_with(&["`nowhere`", "No such file"]);
    bench.run(&["wast", "empty"]).is_refused_with(&["no .wast file in `empty`"]);
    bench.write("bytes.wast", b"\xff\xfe");
    let outcome = bench.run(&["wast", "bytes.wast"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.starts_with("bytes.wast:1:1: script: cannot be read"), "{outcome:?}");
}

#[test]
fn the_folder_says_what_a_script_is_written_for() {
    let script = r#"(assert_malformed (module binary "\00asm\01\00\00\00"
            "\01\04\01\60\00\00\03\02\01\00\0a\08\01\06\00\41\00\c0\1a\0b") "illegal opcode")"#;
    let bench = Bench::with("wasm-v1/s.wast", script);
    bench.write("mine/s.wast", script);
    bench.run(&["wast", "wasm-v1/s.wast"]).succeeds_with("1 passed, 0 failed\n");
    assert_eq!(bench.run(&["wast", "mine/s.wast"]).code, Some(1));
    let switched = bench.run(&["wast", "-W", "sign-extension=n", "mine/s.wast"]);
    switched.succeeds_with("1 passed, 0 failed\n");
    assert_eq!(bench.run(&["wast", "--features", "wasm2", "wasm-v1/s.wast"]).code, Some(1));
}

#[test]
fn what_fails_in_a_thread_fails_in_the_script() {
    // The thread, its module and the call; what fails in it; the wait and the last module.
    fails(
        "(thread $T (module (func (export \"f\")))\n  (assert_return (invoke \"f\") (i32.const 1))\n  (invoke \"f\"))\n(wait $T)\n(module)",
        5,
        &[("2:4", "expected 1 result(s), found no result")],
    );
    // Nobody waits for it: then the end of the script does.
    fails("(thread $T (invoke \"f\"))", 1, &[("1:13", "no current instance")]);
    fails("(wait $T)", 0, &[("1:2", "no thread $T")]);
    fails("(thread $T)\n(wait $T)\n(wait $T)", 2, &[("3:2", "no thread $T")]);
    fails("(thread $T)(thread $T)", 1, &[("1:13", "a thread $T already")]);
    fails("(thread $T (shared (module $M)) (module))", 0, &[("1:2", "no instance $M")]);
    fails("(thread (module))", 0, &[("1:9", "identifier")]);
    // A thread inside a thread, in a place of its own.
    fails(
        "(thread $A\n  (thread $B\n    (invoke \"f\"))\n  (wait $B))\n(wait $A)",
        4,
        &[("3:6", "no current instance")],
    );
}
