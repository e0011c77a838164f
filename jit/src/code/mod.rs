//! Machine code in memory: where it lies, how it gets there, and what is known about each address.
//!
//! All code of the process lies in one reservation so that any address is looked up with two loads
//! and no lock, also in a signal handler ([`lookup`]). Its memory is a file in memory that is mapped to
//! be executed and written by a system call: nothing is ever mapped writable and executable, one after the
//! other or at once (`file.rs`). Each owner of code, a module for instance, has a [`CodeArena`], in which
//! functions lie one behind the other; what an arena takes counts in a [`CodeQuota`].
//!
//! A [`CodeUnit`] is what was published together: one function, a batch, a trampoline, or the
//! lazy entries of a module.

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
