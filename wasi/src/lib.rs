//! WASI preview 1 for [seqfault](https://docs.rs/seqfault): all 46 functions of
//! `wasi_snapshot_preview1`, on cap-std.
//!
//! A [`WasiCtxBuilder`] decides what a guest gets; [`add_to_linker`] adds the functions to a `Linker`. A guest that
//! calls `proc_exit` ends with [`I32Exit`] as its error.
//!
//! # How it is built
//!
//! * `abi`: numbers and layouts. `guest`: types of pointer arguments. `memory`: guest memory, as the calls use it.
//! * `calls`: each function of the interface as a plain function of state, memory and arguments.
//! * `resolve`: paths.
//! * `ctx`, `table`, `descriptor`: the state. Threads of a guest share one state; no lock is held while a call waits
//!   for the host.
//! * `transfer`, `kernel`: moving bytes, with a single copy. `kernel` holds the crate's only unsafe code.
//! * `linker`: makes host functions of the calls. `threads`: wasi-threads.
//!
//! # Guarantees
//!
//! * A guest reaches nothing outside of its preopened directories: every path goes through cap-std, relative to a
//!   directory that the guest has.
//! * Whatever a guest passes leads to a result, an errno or a trap. A pointer that is out of bounds, or not aligned for
//!   its type, traps, as the interface's documents require.
//! * An [`InterruptHandle`] soon ends the guest, whatever it waits for or has the host do. No call takes host memory in
//!   proportion to what a guest passes.
//! * The number of a guest's descriptors is limited by [`WasiCtxBuilder::max_descriptors`].
//! * Rights limit what a descriptor can do, and can be given up. But except for reading and writing, `path_open` does
//!   not limit a guest to the rights that it asked for (see `calls/path_open.rs`).

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
