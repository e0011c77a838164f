//! Which pages of the code space are taken: one bit per page, and no lock.
//!
//! Without a lock, no thread can hold one while another thread forks. At worst a child inherits
//! pages that a thread of its parent was just taking, and that nobody uses.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const BITS: usize = u64::BITS as usize;

/// The pages, by their numbers.
#[derive(Debug)]
pub(super) struct PageMap {
    /// A bit is set where a page is taken.
    words: Box<[AtomicU64]>,
    pages: usize,
    /// Where to look first: a hint.
    from: AtomicUsize,
}

impl PageMap {
    /// All of `pages` pages are free.
    pub(super) fn new(pages: usize) -> PageMap {
        let words = (0..pages.div_ceil(BITS)).map(|_| AtomicU64::new(0)).collect();
        PageMap { words, pages, from: AtomicUsize::new(0) }
    }

    /// Takes `count` pages that follow each other, and returns the first.
    pub(super) fn take(&self, count: usize) -> Option<usize> {
        let from = self.from.load(Ordering::Relaxed);
        let first = self
            .take_within(count, from..self.pages)
            .or_else(|| self.take_within(count, 0..(from + count).min(self.pages)))?;
        // Small runs are taken one after the other. A longer run that skipped smaller gaps leaves
        // the hint at those gaps.
        if count == 1 || first == from {
            self.from.store(first + count, Ordering::Relaxed);
        }
        Some(first)
    }

    fn take_within(&self, count: usize, mut range: Range<usize>) -> Option<usize> {
        while let Some(first) = self.find(count, range.clone()) {
            match self.claim(first..first + count) {
                Ok(()) => return Some(first),
                Err(next) => range.start = next,
            }
        }
        None
    }

    /// The first of `count` free pages in a row.
    fn find(&self, count: usize, range: Range<usize>) -> Option<usize> {
        let (mut first, mut at) = (range.start, range.start);
        while at < range.end {
            let bit = at % BITS;
            let taken = self.words[at / BITS].load(Ordering::Relaxed) >> bit;
            let free = (taken.trailing_zeros() as usize).min(BITS - bit).min(range.end - at);
            if at + free - first >= count {
                return Some(first);
            }
            at += free;
            if free < BITS - bit && at < range.end {
                // Taken ones come next.
                let taken = taken >> free;
                at += taken.trailing_ones() as usize;
                first = at;
            }
        }
        None
    }

    /// Takes these pages, or returns the page at which to continue the search.
    fn claim(&self, pages: Range<usize>) -> Result<(), usize> {
        let mut at = pages.start;
        while at < pages.end {
            let (word, mask, next) = self.part(at, pages.end);
            // Acquire: pairs with the Release in `give`, so that what was done to the pages before
            // they were given back happened before what is done to them now.
            let claim = word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |taken| {
                (taken & mask == 0).then_some(taken | mask)
            });
            if claim.is_err() {
                self.clear(pages.start..at);
                return Err(next);
            }
            at = next;
        }
        Ok(())
    }

    /// Gives back pages that [`PageMap::take`] returned. With `soon` they may be taken again at
    /// once; without, only after all pages that have been free for longer.
    pub(super) fn give(&self, pages: Range<usize>, soon: bool) {
        if soon {
            self.from.fetch_min(pages.start, Ordering::Relaxed);
        }
        self.clear(pages);
    }

    fn clear(&self, pages: Range<usize>) {
        let mut at = pages.start;
        while at < pages.end {
            let (word, mask, next) = self.part(at, pages.end);
            word.fetch_and(!mask, Ordering::Release);
            at = next;
        }
    }

    /// The word with the bit of page `at`, the bits in it up to page `end`, and the page after them.
    fn part(&self, at: usize, end: usize) -> (&AtomicU64, u64, usize) {
        let bit = at % BITS;
        let len = (BITS - bit).min(end - at);
        let mask = (u64::MAX >> (BITS - len)) << bit;
        (&self.words[at / BITS], mask, at + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_given_back_are_taken_together_with_their_neighbours() {
        let map = PageMap::new(10);
        assert_eq!([map.take(3), map.take(3), map.take(4)], [Some(0), Some(3), Some(6)]);
        assert_eq!(map.take(1), None);
        map.give(0..3, true);
        map.give(6..10, true);
        assert_eq!(map.take(5), None);
        map.give(3..6, true);
        assert_eq!(map.take(10), Some(0));
    }

    #[test]
    fn runs_lie_across_words() {
        let map = PageMap::new(300);
        assert_eq!(map.take(60), Some(0));
        assert_eq!(map.take(200), Some(60));
        assert_eq!(map.take(41), None);
        assert_eq!(map.take(40), Some(260));
        map.give(63..129, true);
        assert_eq!(map.take(67), None);
        assert_eq!(map.take(66), Some(63));
        assert_eq!(map.take(1), None);
    }

    #[test]
    fn what_rests_is_taken_last() {
        let map = PageMap::new(4);
        assert_eq!([map.take(1), map.take(1)], [Some(0), Some(1)]);
        map.give(0..1, false);
        assert_eq!([map.take(1), map.take(1), map.take(1)], [Some(2), Some(3), Some(0)]);
        map.give(1..2, true);
        assert_eq!(map.take(1), Some(1));
    }

    /// The reference: a list of booleans.
    #[test]
    fn no_page_is_given_to_two() {
        use rand::{Rng, SeedableRng, rngs::StdRng};
        let mut rng = StdRng::seed_from_u64(7);
        let map = PageMap::new(517);
        let mut taken = [false; 517];
        let mut runs: Vec<Range<usize>> = Vec::new();
        for _ in 0..20_000 {
            if rng.random_bool(0.5) && !runs.is_empty() {
                let run = runs.swap_remove(rng.random_range(0..runs.len()));
                taken[run.clone()].fill(false);
                map.give(run, rng.random_bool(0.5));
                continue;
            }
            let count = [1, 2, 5, 63, 64, 65, 130][rng.random_range(0..7)];
            match map.take(count) {
                Some(first) => {
                    let run = first..first + count;
                    assert!(taken[run.clone()].iter().all(|taken| !taken));
                    taken[run.clone()].fill(true);
                    runs.push(run);
                }
                None => assert!(!taken.windows(count).any(|run| run.iter().all(|taken| !taken))),
            }
        }
    }

    #[test]
    fn threads_take_different_pages() {
        let map = PageMap::new(130);
        std::thread::scope(|scope| {
            let owners: Vec<_> = (0..130).map(|_| AtomicUsize::new(0)).collect();
            let owners = std::sync::Arc::new(owners);
            for thread in 1..=4 {
                let (map, owners) = (&map, owners.clone());
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let count = 1 + (round * thread) % 40;
                        let Some(first) = map.take(count) else { continue };
                        for page in first..first + count {
                            assert_eq!(owners[page].swap(thread, Ordering::Relaxed), 0);
                        }
                        for page in first..first + count {
                            assert_eq!(owners[page].swap(0, Ordering::Relaxed), thread);
                        }
                        map.give(first..first + count, true);
                    }
                });
            }
        });
    }
}
