//! Machine code in memory: where it lies, how it gets there, and what is known about each address.
//!
//! All code of the process lies in one reservation so that any address is looked up with
//! one load and no lock, also in a signal handler. Code is written to pages that are never
//! executable at that time, then flipped to read-and-execute and never written again (W^X);
//! functions that are compiled one by one therefore start on pages of their own.
//!
//! A [`CodeUnit`] is what was published together: one function, a batch, a trampoline, or the
//! lazy entries of a module.

mod handlers;
mod pages;
mod space;
mod thunk;
mod unit;

pub(crate) use handlers::handled_calls;
pub use handlers::{HandledCall, Handler, HandlersOfCall};
pub use space::lookup;
pub use thunk::{LazyEntries, lazy_entry_at};
pub use unit::{CodeKind, CodeUnit, FunctionRange, PublishedUnit, UnitBuilder};
