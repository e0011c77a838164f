//! Which function of a module is its entry, and what is called before it.

use crate::support::{Bench, Outcome};

/// Runs a module that exits with the digits which its functions note, in the order of their calls.
fn run(functions: &str, options: &[&str]) -> Outcome {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (global $called (mut i32) (i32.const 0))
            (func $note (param i32)
                (global.set $called (i32.add (local.get 0)
                    (i32.mul (global.get $called) (i32.const 10)))))
            (func $end (param i32)
                (call $note (local.get 0))
                (call $exit (global.get $called)))
            {functions})"#
    );
    let bench = Bench::with("m.wat", text);
    bench.run(&[&["run"], options, &["m.wat"]].concat())
}

const INITIALIZE: &str = r#"(func (export "_initialize") (call $note (i32.const 1)))"#;
const UNNAMED: &str = r#"(func (export "") (call $end (i32.const 2)))"#;
const START: &str = r#"(func (export "_start") (call $end (i32.const 3)))"#;

#[test]
fn the_export_without_a_name_is_the_entry_then_start() {
    for (functions, code) in [
        (UNNAMED.to_owned(), 2),
        (START.to_owned(), 3),
        (format!("{START} {UNNAMED}"), 2),
        (format!("{INITIALIZE} {UNNAMED}"), 12),
        (format!("{INITIALIZE} {START}"), 13),
        // Only a function that takes nothing is an entry.
        (format!(r#"(func (export "") (param i32)) {START}"#), 3),
        (format!(r#"(export "" (memory 0)) {START}"#), 3),
    ] {
        let outcome = run(&functions, &[]);
        assert_eq!(outcome.code, Some(code), "{functions}: {outcome:?}");
    }
}

#[test]
fn results_of_an_entry_are_dropped() {
    for name in ["", "_start"] {
        for results in ["i32", "i64 f64 v128", "funcref externref"] {
            let values = results.split(' ').map(|ty| match ty {
                "funcref" => "(ref.null func)".to_owned(),
                "externref" => "(ref.null extern)".to_owned(),
                "v128" => "(v128.const i64x2 1 1)".to_owned(),
                number => format!("({number}.const 7)"),
            });
            let values = values.collect::<String>();
            let function = format!(r#"(func (export "{name}") (result {results}) {values})"#);
            run(&function, &[]).succeeds_with("");
        }
    }
}

#[test]
fn a_function_that_is_asked_for_is_called_whatever_the_entry_is() {
    let all = format!("{INITIALIZE} {UNNAMED} {START}");
    for (name, code) in [("", 12), ("_start", 13)] {
        let outcome = run(&all, &["--invoke", name]);
        assert_eq!(outcome.code, Some(code), "{name:?}: {outcome:?}");
    }
    // Not twice.
    let again = r#"(global $ready (mut i32) (i32.const 0))
        (func (export "_initialize")
            (if (global.get $ready) (then unreachable)) (global.set $ready (i32.const 1)))"#;
    run(again, &["--invoke", "_initialize"]).succeeds_with("");
}

#[test]
fn a_module_without_an_entry_is_told_what_is_wrong_with_it() {
    let takes = r#"(func (export "_start") (param i32 f64))"#;
    run(takes, &[]).is_refused_with(&["no program", "`_start`", "i32 f64", "--invoke"]);
    run(r#"(func (export "") (param i32))"#, &[]).is_refused_with(&["``", "i32", "--invoke"]);
    run(INITIALIZE, &[]).is_refused_with(&["`_start`", "`_initialize`", "--invoke"]);
    run("", &[]).is_refused_with(&["`_start`", "exports no function at all"]);
    let initialize = r#"(func (export "_initialize") (param i32)) (func (export "_start"))"#;
    run(initialize, &[]).is_refused_with(&["`_initialize`", "i32"]);
}
