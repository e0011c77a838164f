//! What depends on the processor: registers in a signal's context, and copies that may fault.
//!
//! A port to another processor adds a file with the same items here, in `jit/src/arch` and in `runtime/src/vm/arch`.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use x86_64::*;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("seqfault-mm runs on x86_64 Linux; a port adds a file in `mm/src/arch`");
