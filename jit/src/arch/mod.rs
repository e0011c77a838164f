//! What depends on the processor, apart from Cranelift: code that we encode ourselves, and which
//! instructions the translator may use.
//!
//! A port to another processor adds a file with the same items here, in `mm/src/arch` and in
//! `runtime/src/vm/arch`.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use x86_64::*;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("seqfault-jit runs on x86_64 Linux; a port adds a file in `jit/src/arch`");
