//! Which window to populate. Pure arithmetic on the history of a lane: no system call, no clock, no address.
//!
//! The first fault of a lane brings a granule: a small program needs only one or two. A fault that continues where the
//! last window ended (or, downwards, where it began) brings a larger one, up to the largest, usually a stripe. A fault
//! in a granule of which half is present brings the rest of it. Every other fault starts over with the smallest window,
//! so a sparse pattern does not inflate the resident size. On one thread the same faults always give the same windows.

use super::primitive::{Ordering, PlainU64};
use super::types::{GRANULE_PAGES, PageRange, STRIPE_PAGES};

const MASK: u64 = 0xff_ffff_ffff;

/// How large windows are, in pages: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowSizes {
    least: usize,
    most: usize,
}

impl WindowSizes {
    /// From a granule to a stripe.
    pub(crate) const COARSE: Self = Self::from_pages(GRANULE_PAGES, STRIPE_PAGES);
    /// From four pages to a stripe.
    pub(crate) const FINE: Self = Self::from_pages(4, STRIPE_PAGES);

    /// The powers of two next to these numbers of pages, at least a page and at most a stripe.
    pub(crate) const fn from_pages(least: usize, most: usize) -> Self {
        let least = Self::size(least);
        let most = Self::size(most);
        Self { least, most: if most < least { least } else { most } }
    }

    const fn size(pages: usize) -> usize {
        match pages {
            0 => 1,
            STRIPE_PAGES.. => STRIPE_PAGES,
            _ => pages.next_power_of_two(),
        }
    }

    /// The size that follows `pages`: like the kernel's readahead, four times as large at first, later twice as large.
    fn after(self, pages: usize) -> usize {
        let times = if pages < self.most / 16 { 4 } else { 2 };
        (pages * times).clamp(self.least, self.most)
    }

    /// As one word.
    pub(crate) fn to_bits(self) -> usize {
        self.least << 16 | self.most
    }

    /// From `to_bits`.
    pub(crate) fn from_bits(bits: usize) -> Self {
        Self { least: bits >> 16, most: bits & 0xffff }
    }
}

/// A window to try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Inside one stripe; the caller clips it to the VMA.
    pub(crate) pages: PageRange,
    /// Its length before it was clipped to the stripe: the next window's size is computed from it.
    asked: usize,
}

impl Window {
    /// The smallest window that holds `page`.
    pub(crate) fn least(page: usize, sizes: WindowSizes) -> Self {
        Self::aligned(page, sizes.least)
    }

    fn granule(page: usize, sizes: WindowSizes) -> Self {
        Self::aligned(page, GRANULE_PAGES.clamp(sizes.least, sizes.most))
    }

    fn aligned(page: usize, asked: usize) -> Self {
        let first = page / asked * asked;
        Self { pages: PageRange::new(first, first + asked), asked }
    }
}

/// What a lane remembers of its last window: its first page (40 bits) and the pages asked for (24 bits; 0: no window);
/// and its end.
///
/// Relaxed: a torn pattern (two threads in one lane) only costs a window of another size.
pub(crate) struct Pattern {
    first: PlainU64,
    end: PlainU64,
}

impl Pattern {
    /// Nothing seen.
    pub(crate) fn new() -> Self {
        Self { first: PlainU64::new(0), end: PlainU64::new(0) }
    }

    /// Forgets what was seen.
    pub(crate) fn reset(&self) {
        self.first.store(0, Ordering::Relaxed);
        self.end.store(0, Ordering::Relaxed);
    }

    /// The window to try for a fault at `page`, in whose granule `resident` pages are resident.
    pub(crate) fn window(&self, page: usize, resident: usize, sizes: WindowSizes) -> Window {
        let first = self.first.load(Ordering::Relaxed);
        let asked = (first >> 40) as usize;
        let first = (first & MASK) as usize;
        let end = self.end.load(Ordering::Relaxed) as usize;
        next_window(sizes, PageRange::new(first, end), asked, page, resident)
    }

    /// Remembers that `window` was asked for and `got` was made present.
    pub(crate) fn record(&self, window: Window, got: PageRange) {
        let asked = window.asked as u64;
        self.first.store((asked << 40) | (got.start as u64 & MASK), Ordering::Relaxed);
        self.end.store(got.end as u64, Ordering::Relaxed);
    }
}

/// A fault "continues" when its page lies in the smallest window next to the last one.
fn next_window(
    sizes: WindowSizes,
    last: PageRange,
    asked: usize,
    page: usize,
    resident: usize,
) -> Window {
    if asked == 0 {
        return Window::granule(page, sizes);
    }
    let beside = |other: usize| other / sizes.least == page / sizes.least;
    let asked = sizes.after(asked);
    let pages = if last.end <= page && beside(last.end) {
        PageRange::new(last.end, last.end + asked)
    } else if page < last.start && beside(last.start - 1) {
        PageRange::new(last.start.saturating_sub(asked), last.start)
    } else if resident >= GRANULE_PAGES / 2 {
        return Window::granule(page, sizes);
    } else {
        return Window::least(page, sizes);
    };
    Window { pages: pages.intersect(PageRange::stripe_of(page)), asked }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of each window, when the faults are those of a thread that touches `pages` in order.
    fn run(sizes: WindowSizes, pages: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let pattern = Pattern::new();
        let mut brought = PageRange::default();
        let mut lengths = Vec::new();
        for page in pages {
            if brought.contains(page) {
                continue;
            }
            let window = pattern.window(page, 0, sizes);
            brought = window.pages;
            assert!(brought.contains(page));
            pattern.record(window, brought);
            lengths.push(brought.len());
        }
        lengths
    }

    #[test]
    fn a_sequential_touch_widens_the_window_up_to_a_stripe() {
        let expected = [16, 64, 128, 256, 48, 512, 512];
        assert_eq!(run(WindowSizes::FINE, 0..STRIPE_PAGES * 3), expected);
    }

    #[test]
    fn a_downward_touch_widens_too() {
        let sizes = run(WindowSizes::FINE, (0..STRIPE_PAGES).rev());
        assert_eq!(&sizes[..4], [16, 64, 128, 256]);
    }

    #[test]
    fn a_touch_next_to_the_last_window_continues_it() {
        assert_eq!(run(WindowSizes::FINE, [500, 0, 7]), [16, 4, 16]);
        assert_eq!(run(WindowSizes::FINE, [500, 0, 8]), [16, 4, 4]);
        assert_eq!(run(WindowSizes::FINE, [500, 28, 24]), [16, 4, 16]);
        assert_eq!(run(WindowSizes::FINE, [500, 28, 23]), [16, 4, 4]);
    }

    #[test]
    fn what_is_missing_of_a_dense_granule_comes_at_once() {
        let sizes = WindowSizes::FINE;
        let pattern = Pattern::new();
        pattern.record(pattern.window(500, 0, sizes), PageRange::stripe_of(500));
        assert_eq!(pattern.window(37, 7, sizes).pages, PageRange::new(36, 40));
        assert_eq!(pattern.window(37, 8, sizes).pages, PageRange::new(32, 48));
        let sizes = WindowSizes::from_pages(1, 2);
        assert_eq!(pattern.window(37, 8, sizes).pages, PageRange::new(36, 38));
    }

    #[test]
    fn sizes_are_kept_to() {
        let sizes = WindowSizes::from_pages(STRIPE_PAGES / 8, STRIPE_PAGES / 2);
        assert_eq!(WindowSizes::from_bits(sizes.to_bits()), sizes);
        assert_eq!(run(sizes, 0..STRIPE_PAGES * 2), [64, 128, 256, 64, 256, 256]);
        assert_eq!(run(sizes, [63, 1000]), [64, 64], "aligned, so that the page is inside");
        assert_eq!(
            WindowSizes::from_pages(0, usize::MAX),
            WindowSizes::from_pages(1, STRIPE_PAGES)
        );
        assert_eq!(WindowSizes::from_pages(512, 1), WindowSizes::from_pages(512, 512));
        assert_eq!(run(WindowSizes::from_pages(1, 1), 5..8), [1, 1, 1]);
    }

    #[test]
    fn a_sparse_touch_brings_the_smallest_window_each() {
        let sizes = run(WindowSizes::FINE, (0..1000).map(|n| n * 97));
        assert!(sizes[1..].iter().all(|&size| size == 4), "{sizes:?}");
    }
}
