//! Where Rust and machine code meet: entering wasm, what wasm calls, and how it is left by a trap.
//!
//! # The way of a call
//!
//! [`enter`] notes an activation in the store and calls the entry trampoline, which calls the
//! function through its slot. The first call of a function ends up in a [stub](lazy) that compiles
//! it. Host functions are called by exit trampolines, the runtime's own by [builtins]; both note
//! the frame that was left, so that backtraces start there.
//!
//! # The way of a trap
//!
//! The hardware raises a signal. `seqfault-mm`'s handler resolves what is a first touch; all else
//! comes to [`traps`], which asks the code space whether the instruction is one that may trap, and
//! follows the frames to the trampoline that knows the store. The thread then goes on in an ordinary function that takes the backtrace, leaves the trap in the
//! store, and [unwinds](unwind) to the entry trampoline. Nothing that allocates runs in the
//! handler, and no Rust frame with anything to drop is ever skipped.
//!
//! # The way of an exception
//!
//! `throw` calls a builtin, which walks the frames of wasm and looks into the tables that came with
//! their code ([exceptions]). The thread goes on in the handler it finds; without one the exception
//! takes the last step of a trap, as the error of the call that has entered wasm.

mod activation;
mod arch;
mod backtrace;
mod builtins;
mod enter;
mod exceptions;
mod frames;
mod lazy;
mod shared;
mod signals;
mod traps;
mod unwind;

pub(crate) use activation::Activation;
pub(crate) use arch::{lazy_exit_stub, lazy_function_stub, restarts_are_unsafe};
pub(crate) use backtrace::visit_references;
pub(crate) use builtins::{builtins, trap_of};
pub(crate) use enter::enter;
pub(crate) use shared::Shared;
pub(crate) use signals::check_signals;
pub(crate) use traps::install_signal_handlers;
pub(crate) use unwind::catch;
