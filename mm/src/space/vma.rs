//! `Vma`: a range of pages with one protection and one backing, readable without a lock.
//!
//! Invariants: the payload changes only inside a write section of `bounds`, by the holder of the owner's writer lock.
//! The storage is type-stable (`pool`): through a stale reference a fault reads the payload of some other VMA; the
//! owner check and the count reveal it. An unused VMA has no owner and an empty range.

use super::primitive::{AtomicUsize, Ordering};
use super::seqcount::SeqCount;
use super::types::{Attrs, Backing, Extent, PageRange, Paging};
use crate::Protection;

/// A virtual memory area.
pub(crate) struct Vma {
    /// Covers all other fields.
    pub(crate) bounds: SeqCount,
    /// Address of the space it belongs to, 0 for none.
    owner: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    /// See `encode`.
    flags: AtomicUsize,
    /// `Backing::Image`'s delta.
    delta: AtomicUsize,
}

const IMAGE: usize = 4;
const OPEN: usize = 8;

fn encode(attrs: Attrs) -> (usize, usize) {
    let protection = match attrs.protection {
        None => 0,
        Some(Protection::NoAccess) => 1,
        Some(Protection::ReadOnly) => 2,
        Some(Protection::ReadWrite) => 3,
    };
    let open = if attrs.is_open() { OPEN } else { 0 };
    match attrs.backing {
        Backing::Zero => (protection | open, 0),
        Backing::Image { delta } => (protection | open | IMAGE, delta),
    }
}

fn decode(flags: usize, delta: usize) -> Attrs {
    Attrs {
        protection: match flags & 3 {
            0 => None,
            1 => Some(Protection::NoAccess),
            2 => Some(Protection::ReadOnly),
            _ => Some(Protection::ReadWrite),
        },
        backing: if flags & IMAGE == 0 { Backing::Zero } else { Backing::Image { delta } },
        paging: if flags & OPEN == 0 { Paging::Faults } else { Paging::Kernel },
    }
}

impl Vma {
    /// An unused VMA.
    pub(crate) fn new() -> Self {
        Self {
            bounds: SeqCount::new(),
            owner: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            flags: AtomicUsize::new(0),
            delta: AtomicUsize::new(0),
        }
    }

    /// The payload as it is now: for the holder of the lock, or between `try_begin` and `retry`.
    pub(crate) fn extent(&self) -> Extent {
        let range = PageRange::new(self.start(), self.end.load(Ordering::Relaxed));
        let attrs = decode(self.flags.load(Ordering::Relaxed), self.delta.load(Ordering::Relaxed));
        Extent { range, attrs }
    }

    /// First page, for searching.
    pub(crate) fn start(&self) -> usize {
        self.start.load(Ordering::Relaxed)
    }

    /// Address of the owning space, read like `extent`.
    pub(crate) fn owner(&self) -> usize {
        self.owner.load(Ordering::Relaxed)
    }

    /// Writes the payload; the caller is inside the write section. Fields that do not change are not written.
    pub(crate) fn set(&self, owner: usize, extent: Extent) {
        let (flags, delta) = encode(extent.attrs);
        for (field, value) in [
            (&self.owner, owner),
            (&self.start, extent.range.start),
            (&self.end, extent.range.end),
            (&self.flags, flags),
            (&self.delta, delta),
        ] {
            if field.load(Ordering::Relaxed) != value {
                field.store(value, Ordering::Relaxed);
            }
        }
    }

    /// Marks it unused; the caller is inside the write section.
    pub(crate) fn clear(&self) {
        self.set(0, Extent { range: PageRange::default(), attrs: Attrs::RESERVED });
    }
}
