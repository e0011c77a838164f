//! Machine code in memory: where it is, how it gets there, and what is known about each address.
//!
//! All code of the process is in one reservation, so that any address is looked up with two loads and no lock, also in
//! a signal handler ([`lookup`]). The reservation is backed by a file in memory, which is mapped executable and written
//! by a system call: no mapping is ever writable and executable, neither at once nor one after the other (`file.rs`).
//! Each owner of code, such as a module, has a [`CodeArena`], in which functions are placed one behind the other. The
//! memory of an arena counts in a [`CodeQuota`].
//!
//! A [`CodeUnit`] is code that was published together: one function, a batch, a trampoline, or the lazy entries of a
//! module.

mod arena;
mod chunk;
mod file;
mod handlers;
mod lazy;
mod pages;
mod quota;
mod space;
mod unit;

#[cfg(test)]
mod tests;

pub use arena::CodeArena;
pub(crate) use handlers::handled_calls;
pub use handlers::{HandledCall, Handler, HandlersOfCall};
pub use lazy::{LazyEntries, lazy_entry_at};
pub use quota::CodeQuota;
pub use space::lookup;
pub use unit::{CodeKind, CodeUnit, FunctionRange, PublishedUnit, UnitBuilder};
