//! The few instructions that Rust cannot express, for each architecture.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!(
    "seqfault runs on x86-64 Linux; another target needs its own file in runtime/src/vm/arch"
);

mod x86_64;

pub(super) use x86_64::{builtin_shim, continue_at, continue_in_handler};
pub(crate) use x86_64::{lazy_exit_stub, lazy_function_stub, restarts_are_unsafe};
