//! Which window to populate. Pure arithmetic on what a lane has seen: no system call, no clock, no address.
//!
//! A first fault brings the smallest window, usually a granule. A fault that continues where the last window ended (or,
//! downwards, where it began) doubles the window, up to the largest, usually a stripe. Everything else starts over, so a sparse
//! pattern never inflates what is resident. On one thread the same faults give the same windows, always.

use super::primitive::{Ordering, PlainU64};
use super::types::{GRANULE_PAGES, PageRange, STRIPE_PAGES};

const MAX_GRANULES: usize = STRIPE_PAGES / GRANULE_PAGES;
const MASK: u64 = 0xff_ffff_ffff;

/// How large windows are, in granules: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowSizes {
    least: usize,
    most: usize,
}

impl WindowSizes {
    /// From one granule to a stripe.
    pub(crate) const WIDEST: Self = Self { least: 1, most: MAX_GRANULES };

    /// The powers of two next to these numbers of pages, at least a granule and at most a stripe.
    pub(crate) fn from_pages(least: usize, most: usize) -> Self {
        let granules =
            |pages: usize| pages.div_ceil(GRANULE_PAGES).clamp(1, MAX_GRANULES).next_power_of_two();
        let least = granules(least);
        Self { least, most: granules(most).max(least) }
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
    /// Its size before it was clipped to the stripe: what doubling goes on from.
    granules: usize,
}

impl Window {
    /// The granule that holds `page`.
    pub(crate) fn granule(page: usize) -> Self {
        let first = page / GRANULE_PAGES * GRANULE_PAGES;
        Self { pages: PageRange::new(first, first + GRANULE_PAGES), granules: 1 }
    }
}

/// What a lane remembers of its last window: first granule (40 bits) and granules asked for (24 bits).
///
/// Relaxed: a torn pattern (two threads in one lane) costs a window of another size, nothing else.
pub(crate) struct Pattern {
    first: PlainU64,
    end: PlainU64,
}

impl Pattern {
    /// Nothing seen.
    pub(crate) fn new() -> Self {
        Self { first: PlainU64::new(MASK), end: PlainU64::new(MASK) }
    }

    /// The window to try for a fault at `page`.
    pub(crate) fn window(&self, page: usize, sizes: WindowSizes) -> Window {
        let first = self.first.load(Ordering::Relaxed);
        let asked = (first >> 40) as usize;
        let first = (first & MASK) as usize;
        let end = self.end.load(Ordering::Relaxed) as usize;
        next_window(sizes, first, end, asked, page)
    }

    /// Remembers that `window` was asked for and `got` was brought.
    pub(crate) fn record(&self, window: Window, got: PageRange) {
        let asked = window.granules as u64;
        let first = (got.start / GRANULE_PAGES) as u64;
        self.first.store((asked << 40) | (first & MASK), Ordering::Relaxed);
        self.end.store(got.end.div_ceil(GRANULE_PAGES) as u64, Ordering::Relaxed);
    }
}

fn next_window(sizes: WindowSizes, first: usize, end: usize, asked: usize, page: usize) -> Window {
    let WindowSizes { least, most } = sizes;
    let granule = page / GRANULE_PAGES;
    let doubled = (asked * 2).clamp(least, most);
    let (from, count) = if granule == end {
        (granule, doubled)
    } else if granule + 1 == first {
        ((granule + 1).saturating_sub(doubled), doubled)
    } else {
        (granule / least * least, least)
    };
    let whole = PageRange::new(from * GRANULE_PAGES, (from + count) * GRANULE_PAGES);
    Window { pages: whole.intersect(PageRange::stripe_of(page)), granules: count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pages: impl IntoIterator<Item = usize>) -> Vec<usize> {
        run_with(WindowSizes::WIDEST, pages)
    }

    /// Granules of each window, when the faults are those of a thread that touches `pages` in order.
    fn run_with(sizes: WindowSizes, pages: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let (mut first, mut end, mut asked) = (usize::MAX, usize::MAX, 0);
        let mut brought = PageRange::default();
        let mut lengths = Vec::new();
        for page in pages {
            if brought.contains(page) {
                continue;
            }
            let window = next_window(sizes, first, end, asked, page);
            brought = window.pages;
            assert!(brought.contains(page));
            (first, end, asked) =
                (brought.start / GRANULE_PAGES, brought.end / GRANULE_PAGES, window.granules);
            lengths.push(brought.len() / GRANULE_PAGES);
        }
        lengths
    }

    #[test]
    fn a_sequential_touch_doubles_the_window_up_to_a_stripe() {
        assert_eq!(run(0..STRIPE_PAGES * 3), [1, 2, 4, 8, 16, 1, 32, 32]);
    }

    #[test]
    fn a_downward_touch_doubles_too() {
        let sizes = run((0..STRIPE_PAGES).rev());
        assert_eq!(&sizes[..4], [1, 2, 4, 8]);
    }

    #[test]
    fn sizes_are_kept_to() {
        let sizes = WindowSizes::from_pages(STRIPE_PAGES / 8, STRIPE_PAGES / 2);
        assert_eq!(WindowSizes::from_bits(sizes.to_bits()), sizes);
        assert_eq!(run_with(sizes, 0..STRIPE_PAGES * 2), [4, 8, 16, 4, 16, 16]);
        assert_eq!(run_with(sizes, [63, 1000]), [4, 4], "aligned, so that the page is inside");
        assert_eq!(WindowSizes::from_pages(0, usize::MAX), WindowSizes::WIDEST);
        assert_eq!(WindowSizes::from_pages(512, 1), WindowSizes::from_pages(512, 512));
    }

    #[test]
    fn a_sparse_touch_brings_one_granule_each() {
        assert!(run((0..1000).map(|n| n * 97 * GRANULE_PAGES)).iter().all(|&size| size == 1));
    }
}
