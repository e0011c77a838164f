//! `Geometry`: where a space is, and which map and counts describe its pages, in one comparable value.

use super::Space;
use super::pagemap::PageMap;
use super::primitive::Ordering;
use super::types::PAGE;

/// Where a space is, and what describes its pages; compared as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// First byte of the reservation, 0 while unused.
    pub(super) base: usize,
    /// Which of the `pages` counts covers which stripe.
    pub(super) mask: usize,
    pages: *mut PageMap,
}

impl Geometry {
    /// The page that holds host address `addr`, counted from the base; `None` when the space is unused.
    pub(super) fn page_of(&self, addr: usize) -> Option<usize> {
        if self.base == 0 { None } else { addr.checked_sub(self.base).map(|offset| offset / PAGE) }
    }

    /// The page states, unless the space is unused.
    pub(super) fn map<'a>(&self) -> Option<&'a PageMap> {
        // SAFETY: null or a map of the pool, which outlives the space and all faults on it.
        unsafe { self.pages.as_ref() }
    }
}

impl Space {
    /// Where the space is now: consistent under the lock, or when the `pages` count it was read under did not move.
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            base: self.base.load(Ordering::Relaxed),
            mask: self.shards.mask(),
            // Acquire pairs with the Release in `create`: the map's own fields are seen.
            pages: self.pages.load(Ordering::Acquire),
        }
    }
}
