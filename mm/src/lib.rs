//! Address space whose first touches are resolved in user space, on the faulting thread, speculatively.
//!
//! A [`Region`] is a reservation of address space. Its pages come when they are touched. The touch raises a signal; the
//! handler finds the region and its VMA *without a lock*, validates what it has read by sequence counts, claims the
//! pages, checks again, and commits them. Meanwhile other threads may grow, discard and protect the same region. When
//! the counts show that something has moved, the fault falls back to the same steps under the region's lock.
//!
//! The idea is the kernel's speculative page fault; what a user-space library adds is that it knows the bounds, the
//! contents and the intent of every region. Nothing here knows what the memory is for: a language runtime, a database
//! or an emulator can put its memory into regions.
//!
//! ```
//! use seqfault_mm::RegionOptions;
//!
//! let region = RegionOptions::new(1 << 30).accessible(1 << 20).build()?;
//! assert_eq!(region.resident(), 0);
//! region.write(4096, b"hello").unwrap();
//! assert!(region.resident() > 0);
//! region.discard(0..1 << 20)?;
//! assert_eq!(region.resident(), 0);
//! # Ok::<(), seqfault_mm::Error>(())
//! ```

#![cfg_attr(
    test,
    allow(clippy::duplicate_mod, reason = "`space` is compiled twice: once for the model checker")
)]

mod abort;
mod admit;
mod arch;
mod budget;
mod checks;
mod container;
pub mod copy;
mod error;
mod image;
mod limits;
mod lock_order;
mod lots;
mod options;
mod pager;
mod primitive;
mod process;
mod record;
mod region;
mod registry;
pub mod signal;
mod space;
mod stack;
mod sys;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use error::{Error, Fault, FaultKind};
pub use image::Image;
pub use limits::{Limits, Mapped};
pub use options::RegionOptions;
pub use pager::PagerKind;
pub use region::Region;
pub use signal::DisplacedHandlers;
pub use space::Counters;
pub use stack::{prepare_thread, stack_bounds};

/// Bytes in a host page: the unit of `discard`, `protect` and of accessible lengths.
pub const PAGE_SIZE: usize = space::PAGE;
/// Bytes in a granule: maximum sizes are rounded up to it, and the first fault of a thread brings one.
pub const GRANULE_SIZE: usize = space::PAGE * space::GRANULE_PAGES;

/// A kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
}

/// Which accesses a range allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// Every access is denied; contents stay.
    NoAccess,
    /// Stores are denied.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// The sum of the counters of all regions of this process, including those that are gone.
pub fn counters() -> Counters {
    record::counters()
}

/// Whether the host address `addr` lies in the reservation of a region. A few loads; async-signal-safe.
pub fn is_managed(addr: usize) -> bool {
    process::get()
        .is_some_and(|process| registry::find(addr, &process.pool.readers().enter()).is_some())
}

/// Whether the crate was built with speculation.
pub const fn speculates() -> bool {
    cfg!(feature = "speculation")
}
