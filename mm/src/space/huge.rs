//! Huge pages in open ranges: asked for where a sequence goes on, and no longer where its memory was given back, so that
//! sparse touches later do not bring 2 MiB each.
//!
//! The system need not do what it is asked for, and nothing else depends on it. So refusals are not looked at.

use super::Space;
use super::primitive::{LockGuard, Ordering, PlainUsize};
use super::types::{PAGE, PageRange, STRIPE_PAGES};
use crate::pager::Pager;

/// The pages of a space for which huge pages may be asked for. Written under the writer lock.
pub(super) struct Asked {
    start: PlainUsize,
    end: PlainUsize,
}

impl Asked {
    /// None.
    pub(super) fn none() -> Self {
        Self { start: PlainUsize::new(0), end: PlainUsize::new(0) }
    }

    fn get(&self) -> PageRange {
        PageRange::new(self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed))
    }

    /// Changes them; the caller holds the writer lock.
    pub(super) fn set(&self, range: PageRange) {
        self.start.store(range.start, Ordering::Relaxed);
        self.end.store(range.end, Ordering::Relaxed);
    }
}

impl Space {
    /// Asks for huge pages in `window`, which was just opened. If the stripe of `page` has small pages already (those of a
    /// probe), it is made a huge page at once: the kernel brings none where a page table is.
    ///
    /// Async-signal-safe.
    pub(super) fn ask_for_huge_pages(
        &self,
        _held: &LockGuard<'_>,
        window: PageRange,
        page: usize,
        pager: &dyn Pager,
    ) {
        let asked = self.asked.get();
        self.asked.set(match asked.is_empty() {
            true => window,
            false => PageRange::new(asked.start.min(window.start), asked.end.max(window.end)),
        });
        self.advise(window, true, pager);
        let stripe = PageRange::stripe_of(page);
        let begun = page != stripe.start && page + 1 != stripe.end;
        if begun && stripe.intersect(window) == stripe {
            let addr = self.geometry().base + stripe.start * PAGE;
            pager.system().collapse(addr, STRIPE_PAGES * PAGE);
        }
    }

    /// Asks for huge pages no longer in the whole stripes of `range`, which was just emptied.
    pub(super) fn ask_for_small_pages(
        &self,
        _held: &LockGuard<'_>,
        range: PageRange,
        pager: &dyn Pager,
    ) {
        let asked = self.asked.get();
        let first = range.start.div_ceil(STRIPE_PAGES) * STRIPE_PAGES;
        let stripes = PageRange::new(first, range.end / STRIPE_PAGES * STRIPE_PAGES);
        let part = asked.intersect(stripes);
        if part.is_empty() {
            return;
        }
        self.advise(part, false, pager);
        if part.start == asked.start {
            self.asked.set(PageRange::new(part.end, asked.end));
        } else if part.end == asked.end {
            self.asked.set(PageRange::new(asked.start, part.start));
        }
    }

    /// Whether huge pages may be asked for anywhere in the space.
    pub(super) fn asks_for_huge_pages(&self, _held: &LockGuard<'_>) -> bool {
        !self.asked.get().is_empty()
    }

    fn advise(&self, range: PageRange, huge: bool, pager: &dyn Pager) {
        let addr = self.geometry().base + range.start * PAGE;
        pager.system().advise_huge(addr, range.len() * PAGE, huge);
    }
}
