//! What cannot be run: one line that names the thing and the remedy.

use crate::support::{Bench, printing};

#[test]
fn a_missing_file_is_named() {
    let outcome = Bench::new().run(&["run", "nowhere.wasm"]);
    outcome.is_refused_with(&["cannot read `nowhere.wasm`", "No such file", ".wasm or .wat"]);
}

#[test]
fn a_folder_is_no_program() {
    let bench = Bench::with("folder/x", "");
    bench.run(&["run", "folder"]).is_refused_with(&["`folder`", "directory"]);
}

#[test]
fn a_missing_directory_is_named_with_its_option() {
    let bench = Bench::with("p.wat", printing("x"));
    let outcome = bench.run(&["run", "--dir", "nowhere::/x", "p.wat"]);
    outcome.is_refused_with(&["--dir", "`nowhere`", "No such file", "exists"]);
    let outcome = bench.run(&["run", "--dir", "p.wat", "p.wat"]);
    outcome.is_refused_with(&["--dir", "`p.wat`"]);
}

#[test]
fn invalid_modules_are_told_from_malformed_ones_and_from_other_files() {
    let bench = Bench::new();
    bench.write(
        "invalid.wasm",
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x06\x01\x04\0\x41\0\x0b",
    );
    bench.write("cut.wasm", b"\0asm\x01\0\0\0\x01\x04\x01\x60");
    bench.write("version.wasm", b"\0asm\x07\0\0\0");
    bench.write("elf", b"\x7fELF\x02\x01\x01\xff\xfe");
    bench.write("component.wasm", b"\0asm\x0d\0\x01\0");
    bench.write("empty.wasm", b"");
    let run = |name| bench.run(&["run", name]);
    run("invalid.wasm").is_refused_with(&["cannot compile `invalid.wasm`", "invalid module", "0x"]);
    run("cut.wasm").is_refused_with(&["cannot compile `cut.wasm`", "malformed module", "0x"]);
    run("version.wasm").is_refused_with(&["`version.wasm`", "malformed module", "version"]);
    run("elf").is_refused_with(&["`elf` is not WebAssembly"]);
    run("component.wasm").is_refused_with(&["`component.wasm` is a component", "wasm32-wasip1"]);
    run("empty.wasm").is_refused_with(&["`empty.wasm` is empty"]);
}

#[test]
fn text_that_does_not_parse_is_shown_with_its_place() {
    let bench = Bench::with("bad.wat", "(module\n  (func (i32.cnst 1)))");
    let outcome = bench.run(&["run", "bad.wat"]);
    assert_eq!(outcome.code, Some(1));
    outcome.complains_of(&["error: cannot compile `bad.wat`", "i32.cnst", ":2:"]);
}

#[test]
fn an_unknown_import_is_named_with_its_module() {
    let importing = |module: &str, field: &str| {
        let text = format!(
            r#"(module (import "{module}" "{field}" (func (param i32)))
                (func (export "_start")))"#
        );
        Bench::with("p.wat", text).run(&["run", "p.wat"])
    };
    importing("env", "missing").is_refused_with(&[
        "unknown import",
        "env",
        "missing",
        "wasi_snapshot_preview1",
    ]);
    importing("wasi_unstable", "fd_write").is_refused_with(&["wasi_unstable", "wasm32-wasip1"]);
    importing("wasi:cli/run@0.2.0", "run").is_refused_with(&["wasi:cli/run@0.2.0", "rebuild"]);
    importing("wasi_snapshot_preview1", "fd_write")
        .is_refused_with(&["incompatible import type", "fd_write"]);
}

#[test]
fn a_module_that_is_no_program_is_told_by_what_it_exports() {
    let bench = Bench::with("m.wat", r#"(module (func (export "a")) (func (export "b")))"#);
    bench.run(&["run", "m.wat"]).is_refused_with(&["`m.wat`", "`_start`", "`a`, `b`", "--invoke"]);
    let outcome = bench.run(&["run", "--invoke", "c", "m.wat"]);
    outcome.is_refused_with(&["no function `c`", "`a`, `b`"]);
    let bench = Bench::with("m.wat", r#"(module (memory (export "memory") 1))"#);
    bench.run(&["run", "m.wat"]).is_refused_with(&["exports no function at all"]);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_names_the_culprit() {
    let bench = Bench::with("p.wat", printing("x"));
    for (arguments, word) in [
        (&["run", "--no-such-option", "p.wat"][..], "--no-such-option"),
        (&["run", "--timeout", "5", "p.wat"], "5s"),
        (&["run", "--dir", "::x", "p.wat"], "HOST"),
        (&["run", "--env", "=x", "p.wat"], "NAME"),
        (&["run", "--memory-limit", "lots", "p.wat"], "64M"),
        (&["run", "--pager", "magic", "p.wat"], "protect"),
        (&["run"], "FILE"),
        (&["wast"], "PATH"),
        (&["wast", "--features", "wasm9", "x.wast"], "wasm2"),
        (&["fly"], "fly"),
    ] {
        let outcome = bench.run(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        outcome.complains_of(&["error: ", word]);
    }
}

#[test]
fn the_version_and_the_help_are_printed() {
    let bench = Bench::new();
    bench.run(&["--version"]).succeeds_with(concat!("seqfault ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = bench.run(&["run", "--help"]);
    assert_eq!(help.code, Some(0));
    for option in ["--dir", "--env", "--invoke", "--timeout", "FILE", "ARGS"] {
        assert!(help.stdout.contains(option), "{option} in {}", help.stdout);
    }
}

#[test]
fn features_are_switched_by_name() {
    let bench = Bench::with("m.wat", r#"(module (memory 1) (memory 1) (func (export "_start")))"#);
    bench.run(&["run", "m.wat"]).succeeds_with("");
    let refused = bench.run(&["run", "-W", "simd=y,multi-memory=n", "m.wat"]);
    refused.is_refused_with(&["cannot compile `m.wat`", "multi", "-W multi-memory"]);
    bench.run(&["run", "-W", "multi-memory=n", "-W", "multi-memory", "m.wat"]).succeeds_with("");
    let unknown = bench.run(&["run", "-W", "multi-memry", "m.wat"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    unknown.complains_of(&["`multi-memry`", "choose one of `multi-memory`, ", "and 9 more"]);
    let help = bench.run(&["run", "-W", "help"]);
    assert_eq!((help.code, &*help.stderr), (Some(0), ""));
    assert!(help.stdout.starts_with("Features of WebAssembly"), "{help:?}");
    assert!(help.stdout.contains("-W multi-memory=y"), "{help:?}");
}

#[test]
fn annotations_and_branch_hints_in_text_do_no_harm() {
    let text = r#"(module (@custom "mine" "bytes") (@anything (at all) "here")
        (func (export "f") (param i32) (result i32)
            (@metadata.code.branch_hint "\01")
            (if (result i32) (local.get 0) (then (i32.const 7)) (else (i32.const 8)))))"#;
    let bench = Bench::with("m.wat", text);
    bench.run(&["run", "--invoke", "f", "m.wat", "1"]).succeeds_with("7\n");
}
