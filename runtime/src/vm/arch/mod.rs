//! Code that Rust cannot express: continuing elsewhere, the stubs between compiled code and Rust,
//! and the question whether valgrind runs the process.
//!
//! A port to another processor adds a file with the same items here, in `mm/src/arch` and in
//! `jit/src/arch`.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) use x86_64::{
    builtin_shim, checking_shim, continue_at, continue_in_handler, keeping_shim,
};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use x86_64::{
    lazy_exit_stub, lazy_function_stub, restarts_are_unsafe, runs_on_valgrind,
};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("seqfault runs on x86_64 Linux; a port adds a file in `runtime/src/vm/arch`");
