//! The edges: every access at every boundary of a memory, every trap, on two kinds of thread.
//!
//! What should happen is computed from the definition (an access of `width` bytes at `address +
//! offset` traps when its end is beyond the memory, in numbers that do not wrap) and compared with
//! what does. Everything runs on the main thread first, then on threads of the harness: they differ
//! in how their stacks end and in who set up their signal stacks.

#![deny(unsafe_code)]

mod accesses;
mod arithmetic;
mod bulk;
mod bulk64;
mod calls;
mod guest;
mod stack;

use libtest_mimic::{Arguments, Conclusion, Trial};
use std::process::ExitCode;

/// A check, by name.
type Check = (&'static str, fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // One thread means the thread that calls.
    let on_main = Arguments { test_threads: Some(1), ..arguments.clone() };
    let main = libtest_mimic::run(&on_main, trials("main_thread"));
    let others = libtest_mimic::run(&arguments, trials("other_thread"));
    exit_code(&[main, others])
}

fn trials(thread: &str) -> Vec<Trial> {
    let checks = [
        accesses::CHECKS,
        arithmetic::CHECKS,
        bulk::CHECKS,
        bulk64::CHECKS,
        calls::CHECKS,
        stack::CHECKS,
    ];
    let trial = |&(name, check): &Check| {
        Trial::test(format!("{thread}::{name}"), move || {
            check();
            Ok(())
        })
    };
    checks.into_iter().flatten().map(trial).collect()
}

fn exit_code(conclusions: &[Conclusion]) -> ExitCode {
    match conclusions.iter().any(Conclusion::has_failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
