//! Units and plain values of the core: pages, ranges, attributes. No atomics here.

use crate::Protection;

/// Bytes in a host page.
pub(crate) const PAGE: usize = 4096;
/// Pages in a granule, the unit whose states share one word.
pub(crate) const GRANULE_PAGES: usize = 16;
/// Pages in a stripe: windows and pieces of a discard never cross one, and each stripe has one `pages` count.
pub(crate) const STRIPE_PAGES: usize = 512;

/// A half-open range of pages, counted from the start of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct PageRange {
    /// First page.
    pub(crate) start: usize,
    /// First page behind.
    pub(crate) end: usize,
}

impl PageRange {
    /// `[start, end)`; empty when `end <= start`.
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Pages in it.
    pub(crate) const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no page.
    pub(crate) const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `page` lies inside.
    pub(crate) const fn contains(self, page: usize) -> bool {
        self.start <= page && page < self.end
    }

    /// The pages that both ranges contain.
    pub(crate) fn intersect(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// The stripe that `page` lies in.
    pub(crate) const fn stripe_of(page: usize) -> Self {
        let start = page / STRIPE_PAGES * STRIPE_PAGES;
        Self { start, end: start + STRIPE_PAGES }
    }

    /// Splits the range into pieces, none of which crosses a stripe.
    pub(crate) fn stripes(self) -> impl Iterator<Item = Self> {
        let mut at = self.start;
        std::iter::from_fn(move || {
            if at >= self.end {
                return None;
            }
            let piece = Self::new(at, Self::stripe_of(at).end.min(self.end));
            at = piece.end;
            Some(piece)
        })
    }
}

/// What a page holds before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Zeroes.
    Zero,
    /// An initial image: byte `a` of the reservation starts as the byte at host address `a + delta` (wrapping).
    Image {
        /// Distance from a guest address to its image byte.
        delta: usize,
    },
}

/// Who brings the pages of a VMA when they are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    /// Faults, through this crate: a page may be touched when its state says so.
    Faults,
    /// The kernel: the VMA is *open*. The system maps it as its attributes say at all times. Its page states are not
    /// kept, since pages come without a word: all are absent.
    Kernel,
}

/// The attributes that all pages of a VMA share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attrs {
    /// Allowed accesses; `None` for the part that has not been made accessible yet.
    pub(crate) protection: Option<Protection>,
    /// Initial contents.
    pub(crate) backing: Backing,
    /// Who brings the pages.
    pub(crate) paging: Paging,
}

impl Attrs {
    /// The part of a space beyond its accessible length.
    pub(crate) const RESERVED: Self =
        Self { protection: None, backing: Backing::Zero, paging: Paging::Faults };
    /// Fresh accessible memory.
    pub(crate) const FRESH: Self =
        Self { protection: Some(Protection::ReadWrite), ..Self::RESERVED };

    /// Whether the kernel brings the pages.
    pub(crate) fn is_open(self) -> bool {
        self.paging == Paging::Kernel
    }

    /// What the system is to allow in an open VMA.
    pub(crate) fn allowed(self) -> Protection {
        self.protection.unwrap_or(Protection::NoAccess)
    }
}

/// A VMA's payload in one piece: a range and its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The pages.
    pub(crate) range: PageRange,
    /// The attributes that they share.
    pub(crate) attrs: Attrs,
}
