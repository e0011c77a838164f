//! Names that modules, scripts and files choose: no message is anything but what it seems.

use crate::support::{Bench, Outcome};

/// A name that clears the terminal, forges a line and turns the writing around.
const NAME: &str = "\x1b[2J\nerror: forged\r\u{9b}1A\u{202e}gnorw";

/// The name in a string of the text format.
const TEXT: &str = r"\1b[2J\nerror: forged\0d\u{9b}1A\u{202e}gnorw";

/// Fails, names the hostile name, and prints only lines of its own.
#[track_caller]
fn is_honest(outcome: &Outcome, lines: usize) {
    assert!(matches!(outcome.code, Some(1 | 134)), "{outcome:?}");
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(text.contains("forged"), "{text:?}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text:?}");
    assert_eq!(text.lines().count(), lines, "{text}");
}

#[track_caller]
fn check(text: &str, options: &[&str], lines: usize) {
    let bench = Bench::with("m.wat", text.replace("NAME", TEXT));
    is_honest(&bench.run(&[&["run"], options, &["m.wat", "1"]].concat()), lines);
}

#[test]
fn names_in_modules_are_escaped() {
    // Lists of exports, and one that is asked for.
    check(r#"(module (func (export "NAME")))"#, &[], 1);
    check(r#"(module (func (export "NAME")))"#, &["--invoke", "x"], 1);
    check("(module)", &["--invoke", NAME], 1);
    check(r#"(module (func (export "NAME")))"#, &["--invoke", NAME], 1);
    check(r#"(module (func (export "NAME") (param i64 i32)))"#, &["--invoke", NAME], 1);
    // Imports.
    check(r#"(module (import "NAME" "x" (func)) (func (export "")))"#, &[], 1);
    check(r#"(module (import "x" "NAME" (func)) (func (export "")))"#, &[], 1);
    check(r#"(module (import "wasi:NAME" "x" (global i32)) (func (export "")))"#, &[], 1);
    let shared = r#"(module (import "NAME" "x" (memory 2 2 shared)) (func (export "")))"#;
    check(shared, &["--memory-limit", "64K"], 1);
    // Modules that are refused.
    check(r#"(module (func $f) (export "NAME" (func $f)) (export "NAME" (func $f)))"#, &[], 1);
    // Backtraces.
    check(r#"(module (func (@name "NAME") (export "_start") unreachable))"#, &[], 3);
    check(r#"(module (@name "NAME") (func (export "_start") unreachable))"#, &[], 3);
    check(r#"(module (func (export "NAME") (param i32) unreachable))"#, &["--invoke", NAME], 3);
    let exception = r#"(module (tag $t) (func (@name "NAME") (export "_start") (throw $t)))"#;
    check(exception, &[], 3);
}

#[test]
fn text_that_does_not_parse_is_quoted_with_escapes() {
    check(r#"(module (call $"NAME"))"#, &[], 5);
    check(r#"(module (func (call $"NAME")))"#, &[], 5);
    // The line itself holds what would do harm.
    let bench = Bench::with("m.wat", format!("(module ;; {}\n (func (nop)) (forged))", "x"));
    is_honest(&bench.run(&["run", "m.wat"]), 5);
    for harm in ["\x1b[2J", "\u{202e}", "\u{9b}2J"] {
        let bench = Bench::with("m.wat", format!("(module \"forged{harm}\")"));
        is_honest(&bench.run(&["run", "m.wat"]), 5);
    }
}

#[test]
fn names_of_files_are_escaped() {
    let bench = Bench::with(NAME, "(module");
    is_honest(&bench.run(&["run", NAME]), 5);
    is_honest(&bench.run(&["run", "--", &format!("none{NAME}")]), 1);
    let bench = Bench::with("m.wat", r#"(module (func (export "_start")))"#);
    is_honest(&bench.run(&["run", "--dir", NAME, "m.wat"]), 1);
    is_honest(&bench.run(&["wast", NAME]), 1);
    bench.write(NAME, "(assert_return (invoke \"x\"))");
    is_honest(&bench.run(&["wast", NAME]), 2);
}

#[test]
fn names_in_scripts_are_escaped() {
    for (directive, failures) in [
        (r#"(module) (invoke "NAME")"#, 1),
        (r#"(module) (assert_return (get "NAME"))"#, 1),
        (r#"(module (global (export "NAME") i32 (i32.const 0))) (invoke "NAME")"#, 1),
        (r#"(module (import "NAME" "x" (func)))"#, 1),
        (r#"(invoke $"NAME" "x")"#, 1),
        (r#"(module (func (export "x") unreachable)) (assert_trap (invoke "x") "NAME")"#, 1),
        (r#"(assert_invalid (module) "NAME")"#, 1),
        (r#"(assert_unlinkable (module) "NAME")"#, 1),
        (r#"(module (func $f) (export "NAME" (func $f)) (export "NAME" (func $f)))"#, 1),
    ] {
        let bench = Bench::with("s.wast", directive.replace("NAME", TEXT));
        is_honest(&bench.run(&["wast", "s.wast"]), failures + 1);
    }
}

#[test]
fn lists_of_exports_are_short_and_begin_with_the_closest() {
    let functions = (0..20_000).map(|n| format!(r#"(func (export "function_number_{n}"))"#));
    let text = format!("(module {} (func (export \"compute\")))", functions.collect::<String>());
    let bench = Bench::with("m.wat", text);
    let outcome = bench.run(&["run", "--invoke", "conpute", "m.wat"]);
    outcome.is_refused_with(&["it exports `compute`, `function_number_", " and 19989 more"]);
    assert!(outcome.stderr.len() < 500, "{}", outcome.stderr);
    let outcome = bench.run(&["run", "m.wat"]);
    outcome.is_refused_with(&["`_start`", " and 19989 more, choose with --invoke"]);
    assert!(outcome.stderr.len() < 500, "{}", outcome.stderr);
}

#[test]
fn no_message_grows_with_a_module() {
    let long = "x".repeat(90_000);
    let params = "i64 ".repeat(900);
    for text in [
        format!(r#"(module (func (export "{long}")))"#),
        format!(r#"(module (import "{long}" "{long}" (func)) (func (export "")))"#),
        format!(r#"(module (import "a" "b" (func (param {params}))) (func (export "")))"#),
        format!(r#"(module (func (export "_start") (param {params})))"#),
        format!(r#"(module (func (@name "{long}") (export "_start") unreachable))"#),
        format!(
            r#"(module (func (export "")) (memory (export "{long}") 1) (tag (export "{long}")))"#
        ),
        format!(
            r#"(module (tag $t (param {params})) (func (export "_start") {} (throw $t)))"#,
            "(i64.const 0)".repeat(900)
        ),
        // An import of another type, and modules that do not validate.
        format!(
            r#"(module (import "wasi_snapshot_preview1" "fd_read" (func (param {params})))
                (memory (export "memory") 1) (func (export "_start")))"#
        ),
        format!(r#"(module (func (export "{long}")) (func (export "{long}")))"#),
        format!("(module (func (i32.cnst)) {long})"),
        format!("(module ${long} ${long})"),
    ] {
        let bench = Bench::with("m.wat", &text);
        let outcome = bench.run(&["run", "m.wat"]);
        assert!(matches!(outcome.code, Some(1 | 134)), "{outcome:?}");
        assert!(outcome.stderr.len() < 10_000, "{} bytes for {text:.80}", outcome.stderr.len());
    }
    // A backtrace holds some sixty frames, each with two names.
    let bench = Bench::with(
        "m.wat",
        format!(
            r#"(module (@name "{long}") (func $f (@name "{long}") (export "_start") (call $f) (nop)))"#
        ),
    );
    let outcome = bench.run(&["run", "m.wat"]);
    assert_eq!(outcome.code, Some(134), "{outcome:?}");
    assert!(outcome.stderr.contains("xxx!xxx"), "{}", outcome.stderr);
    assert!(outcome.stderr.len() < 100_000, "{} bytes", outcome.stderr.len());
    let bench = Bench::with("m.wat", format!(r#"(module (func (export "f") (param {params})))"#));
    let outcome = bench.run(&["run", "--invoke", "f", "m.wat"]);
    outcome.is_refused_with(&["`f` takes 900 arguments", "i64 and 888 more"]);
}
