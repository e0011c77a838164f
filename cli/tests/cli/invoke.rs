//! `--invoke`: arguments by their types, results on standard output.

use crate::support::Bench;

const MODULE: &str = r#"(module
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "neg64") (param i64) (result i64) (i64.sub (i64.const 0) (local.get 0)))
    (func (export "half") (param f32) (result f32) (f32.mul (local.get 0) (f32.const 0.5)))
    (func (export "f64") (param f64) (result f64) (local.get 0))
    (func (export "swap") (param i32 f64) (result f64 i32) (local.get 1) (local.get 0))
    (func (export "v128") (param v128) (result v128 i32)
        (local.get 0) (i32x4.extract_lane 0 (local.get 0)))
    (func (export "ref") (param funcref externref) (result funcref externref i32)
        (local.get 0) (local.get 1) (ref.is_null (local.get 0)))
    (func (export "nothing")))"#;

fn invoke(name: &str, arguments: &[&str]) -> crate::support::Outcome {
    let bench = Bench::with("m.wat", MODULE);
    bench.run(&[&["run", "--invoke", name, "m.wat"], arguments].concat())
}

#[test]
fn arguments_are_read_and_results_printed_by_their_types() {
    invoke("add", &["2", "40"]).succeeds_with("42\n");
    invoke("add", &["-2", "0x10"]).succeeds_with("14\n");
    invoke("add", &["4294967295", "0"]).succeeds_with("-1\n");
    invoke("neg64", &["-9223372036854775807"]).succeeds_with("9223372036854775807\n");
    invoke("half", &["-3"]).succeeds_with("-1.5\n");
    for (given, printed) in
        [("inf", "inf\n"), ("-inf", "-inf\n"), ("nan", "NaN\n"), ("1e3", "1000\n")]
    {
        invoke("f64", &[given]).succeeds_with(printed);
    }
    invoke("nothing", &[]).succeeds_with("");
}

#[test]
fn several_results_are_printed_one_a_line_in_order() {
    invoke("swap", &["7", "0.25"]).succeeds_with("0.25\n7\n");
    let vector = "0x0000000000000000000000000000002a";
    invoke("v128", &["0x2a"]).succeeds_with(&format!("{vector}\n42\n"));
    invoke("ref", &["null", "null"]).succeeds_with("null\nnull\n1\n");
}

#[test]
fn wrong_arguments_are_named_with_the_type_they_should_have() {
    invoke("add", &["1"]).is_refused_with(&["`add`", "2 arguments", "i32, i32", "1 given"]);
    invoke("add", &["1", "two"]).is_refused_with(&["argument 2 of `add`", "`two`", "i32"]);
    invoke("half", &["x"]).is_refused_with(&["argument 1", "f32"]);
    invoke("nothing", &["1"]).is_refused_with(&["0 arguments", "1 given"]);
}

#[test]
fn a_reactor_is_initialized_before_its_functions_are_called() {
    let reactor = r#"(module (global $g (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $g (i32.const 5)))
        (func (export "get") (result i32) (global.get $g)))"#;
    let bench = Bench::with("r.wat", reactor);
    bench.run(&["run", "--invoke", "get", "r.wat"]).succeeds_with("5\n");
    bench.run(&["run", "r.wat"]).is_refused_with(&["`_start`", "`get`", "--invoke"]);
}
