//! The WebAssembly specification's own suites: one test a script, named after it.
//!
//! A script passes when all of its directives hold, but for those that `expected-failures.txt`
//! lists. `cargo test -p seqfault-wasm-tests --test spec -- wasm-v2/simd` runs the scripts whose
//! names contain `wasm-v2/simd`.
//!
//! Some run once more in other modes of the engine: `seqfault_wasm_tests::modes`.

#![deny(unsafe_code)]

use libtest_mimic::{Arguments, Failed, Trial};
use seqfault_wasm_tests::expected::ExpectedFailures;
use seqfault_wasm_tests::modes::Draw;
use seqfault_wasm_tests::suite::{GROUPS, Script};
use seqfault_wast::WastRunner;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let list = include_str!("expected-failures.txt");
    let expected = Arc::new(ExpectedFailures::parse(list).expect("the list of expected failures"));
    let scripts: Vec<Script> = GROUPS.iter().flat_map(|group| group.scripts()).collect();
    for listed in expected.scripts() {
        let known = scripts.iter().any(|script| script.name == listed);
        assert!(known, "the list of expected failures names {listed}, which is not run");
    }
    let draw = Draw::from_environment();
    println!("other modes are drawn by SEQFAULT_SPEC_SEED={}", draw.seed.0);
    let in_modes = draw.scripts(&scripts);
    let trials = scripts
        .into_iter()
        .chain(in_modes)
        .map(|script| trial(script, Arc::clone(&expected)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(script: Script, expected: Arc<ExpectedFailures>) -> Trial {
    Trial::test(script.name.clone(), move || {
        let runner = WastRunner::new(&script.config)?;
        let report = runner.run_script(&script.name, script.text);
        expected.judge(&script.listed_as, &report).map_err(Failed::from)
    })
}
