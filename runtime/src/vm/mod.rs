//! The border between Rust and machine code: entering wasm, the functions that wasm calls, and leaving wasm by a trap.
//!
//! # Calls
//!
//! [`enter`] records an activation in the store and calls the entry trampoline, which calls the function through its
//! slot. The first call of a function ends up in a [stub](lazy), which compiles it. Exit trampolines call host
//! functions, and shims call the runtime's [builtins]; both record the frame that was left, so that backtraces start
//! there.
//!
//! # Traps
//!
//! The hardware raises a signal. `seqfault-mm`'s handler resolves first touches. All other signals come to [`traps`],
//! which asks the code space whether the instruction may trap, and follows the frames to the trampoline that holds the
//! store. The thread then continues in an ordinary function, which takes the backtrace, leaves the trap in the store,
//! and [unwinds](unwind) to the entry trampoline. Nothing that allocates runs in the handler, and no Rust frame with
//! anything to drop is ever skipped.
//!
//! # Exceptions
//!
//! `throw` calls a builtin, which walks the frames of wasm and looks into the tables that were published with their
//! code ([exceptions]). The thread continues in the handler that it finds. Without one, the exception takes the last
//! step of a trap, and becomes the error of the call that entered wasm.

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
pub(crate) use arch::{lazy_exit_stub, lazy_function_stub, restarts_are_unsafe, runs_on_valgrind};
pub(crate) use backtrace::visit_references;
pub(crate) use builtins::{builtins, trap_of, trap_of_kind};
pub(crate) use enter::enter;
pub(crate) use shared::Shared;
pub(crate) use signals::check_signals;
pub(crate) use traps::install_signal_handlers;
pub(crate) use unwind::catch;
