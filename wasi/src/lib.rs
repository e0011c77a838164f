//! WASI preview 1 for [seqfault](https://docs.rs/seqfault): all 46 functions of
//! `wasi_snapshot_preview1`, on cap-std.
//!
//! A [`WasiCtxBuilder`] says what a guest gets; [`add_to_linker`] gives its functions to a
//! `Linker`. A guest that calls `proc_exit` ends with [`I32Exit`] as its error.
//!
//! # How it is built
//!
//! * `abi`: numbers and layouts. `guest`: what arguments point to. `memory`: guest memory as the calls
//!   see it.
//! * `calls`: each function of the interface as a plain function of state, memory and arguments.
//! * `resolve`: paths.
//! * `ctx`, `table`, `descriptor`: the state. Several threads of a guest share one; no lock is
//!   held while a call waits for the host.
//! * `transfer`, `kernel`: the bytes' way, with one copy. `kernel` holds the crate's only unsafe
//!   code.
//! * `linker`: the one place that knows the engine.
//!
//! # What holds
//!
//! * A guest reaches nothing outside of its preopened directories: every path goes through cap-std,
//!   relative to a directory the guest holds.
//! * Whatever a guest passes ends in a result, an errno or a trap. A pointer out of bounds, and one
//!   that is not aligned as its type asks for, trap, as the interface's documents say.
//! * Whoever holds an [`InterruptHandle`] ends the guest soon, whatever it waits for or has the host do; and
//!   no call takes memory of the host's in proportion to what a guest passes.
//! * A guest has a bounded number of descriptors, [`WasiCtxBuilder::max_descriptors`].
//! * Rights bound what a descriptor can do, and can be given up; beyond reading and writing,
//!   `path_open` does not hold a guest to those it asked for (see `calls/path_open.rs`).

#![deny(unsafe_code)]

mod abi;
mod builder;
mod calls;
mod clocks;
mod ctx;
mod descriptor;
mod error;
mod guest;
mod interrupt;
mod kernel;
mod linker;
mod listing;
mod memory;
mod pipe;
mod random;
mod resolve;
mod sync;
mod table;
mod threads;
mod transfer;

pub use abi::Errno;
pub use builder::{BuildError, WasiCtxBuilder};
pub use clocks::{ClockId, DeterministicClocks, SystemClocks, WasiClocks};
pub use ctx::WasiCtx;
pub use descriptor::DirAccess;
pub use error::{I32Exit, Interrupted, PointerError};
pub use interrupt::InterruptHandle;
pub use linker::add_to_linker;
pub use pipe::MemoryOutputPipe;
pub use threads::WasiThreads;
