//! The binary interface of `wasi_snapshot_preview1`: numbers and layouts, nothing else.
//!
//! Everything that a guest can see as bits is defined here once: [`Errno`] values, flag words, and
//! the records in linear memory. Records are encoded and decoded by hand, little-endian, so that
//! the layout of no host struct can become part of the interface. The tests at the end of each file
//! compare the offsets with those that wasi-libc asserts in `wasi/api.h`.
//!
//! Neighbours: [`calls`](crate::calls) use these types; [`memory`](crate::memory) moves the bytes.
//!
//! # References
//!
//! `wasi_snapshot_preview1.witx` and `typenames.witx` of the WebAssembly/WASI repository.

mod errno;
mod flags;
mod layout;
mod poll;
mod records;

pub use errno::Errno;
pub(crate) use flags::{FdFlags, FstFlags, LookupFlags, OFlags, RiFlags, Rights, SdFlags};
pub(crate) use layout::{Layout, Record};
pub(crate) use poll::{ClockSubscription, Event, EventKind, Subscription};
pub(crate) use records::{Dirent, FdStat, FileStat, FileType, Iovec, Prestat};
