//! Page states: one word per granule, three bits a page. The claim bits are this crate's page-table lock.
//!
//! ```text
//!  63      48 47       32 31      16 15        0
//! +----------+-----------+----------+-----------+
//! |  unused  |  claimed  |  mapped  | resident  |   bit i of each field: page i of the granule
//! +----------+-----------+----------+-----------+
//! ```
//!
//! * Absent: none. Committing: claimed. Present: resident and mapped.
//! * Parked: resident but not mapped: the page keeps its contents, but the system may deny accesses that its VMA allows
//!   (after a change of protection); a fault maps it again without touching the contents.
//!
//! A claim sets and clears only its own bit. So a late claimer (which will find its counts changed) and a writer that
//! empties the page cannot undo each other's work. The granule is the unit of the words and of the policy; VMAs, claims
//! and discards may begin and end at any page.

use std::ptr::NonNull;

use super::primitive::{self, AtomicU64, FIRST_WORDS, Ordering, Words};
use super::types::{GRANULE_PAGES, PageRange};

const MAPPED: u32 = 16;
const CLAIMED: u32 = 32;
const FIELD: u64 = 0xffff;
/// Words in a host page.
const PAGE_WORDS: usize = 512;
/// Bits of the summary: enough for one a host page of words, for 8 GiB.
const CHUNKS: usize = 256;

/// The states of all pages of a space. Type-stable: pooled by size, reused with all words zero.
pub(crate) struct PageMap {
    /// The words of the first granules, in the map itself: a small program needs no others.
    first: [AtomicU64; FIRST_WORDS],
    /// The words of all granules, if there are more. Those that are in `first` are not used.
    rest: Words,
    /// How many there are.
    granules: usize,
    /// Words in a chunk, whole host pages.
    chunk: usize,
    /// One bit per chunk of `rest` in which a page was ever claimed, so that sweeps skip chunks that were never used.
    touched: [AtomicU64; CHUNKS / 64],
}

/// Why a page could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Another committer has claimed it.
    Claimed,
    /// It is present: another committer has published it.
    Present,
    /// The map is too small for the page: a stale map.
    Stale,
}

/// What claimed pages were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prior {
    /// They hold nothing.
    Absent,
    /// They hold contents and need only be mapped.
    Parked,
}

/// A run of pages that only this thread may populate. Dropping it releases the pages unchanged.
pub(crate) struct Claim<'a> {
    map: &'a PageMap,
    range: PageRange,
    prior: Prior,
}

/// The pages of one granule with contents, inside some range; at least one.
pub(crate) struct Contents {
    /// The first page of the granule.
    first: usize,
    resident: u64,
    mapped: bool,
}

impl Contents {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.resident.count_ones() as usize
    }

    /// Whether all of them are mapped.
    pub(crate) fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// The smallest range that holds them.
    pub(crate) fn hull(&self) -> PageRange {
        let start = self.first + self.resident.trailing_zeros() as usize;
        PageRange::new(start, self.first + 64 - self.resident.leading_zeros() as usize)
    }

    /// They, in runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = PageRange> + use<> {
        let (first, mut rest) = (self.first, self.resident);
        std::iter::from_fn(move || {
            let at = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            let run = run_around(rest, at);
            rest &= !run;
            Some(PageRange::new(first + at, first + at + run.count_ones() as usize))
        })
    }
}

/// Bits of the pages of `range` inside granule `granule`.
fn mask_in(granule: usize, range: PageRange) -> u64 {
    let first = granule * GRANULE_PAGES;
    let part = range.intersect(PageRange::new(first, first + GRANULE_PAGES));
    if part.is_empty() {
        return 0;
    }
    let low = part.start - first;
    (FIELD >> (GRANULE_PAGES - part.len())) << low
}

/// Granules that `range` touches.
fn granules(range: PageRange) -> std::ops::Range<usize> {
    if range.is_empty() {
        0..0
    } else {
        range.start / GRANULE_PAGES..range.end.div_ceil(GRANULE_PAGES)
    }
}

/// The run of set bits in `bits` that holds bit `at` (which is set).
fn run_around(bits: u64, at: usize) -> u64 {
    let above = bits >> at;
    let up = (!above).trailing_zeros() as usize;
    let below = bits << (63 - at);
    let down = (!below).leading_zeros() as usize;
    let low = at + 1 - down;
    (u64::MAX >> (64 - (up + down - 1))) << low
}

/// Pages of word `word` that are in the state `prior`.
fn in_state(word: u64, prior: Prior) -> u64 {
    let free = !(word >> MAPPED) & !(word >> CLAIMED) & FIELD;
    match prior {
        Prior::Absent => free & !word,
        Prior::Parked => free & word,
    }
}

impl PageMap {
    /// All pages absent, for at least `pages` pages.
    ///
    /// # Safety
    /// At `annex` are [`annex`](Self::annex) bytes of zero, which nobody else uses.
    pub(crate) unsafe fn new(pages: usize, annex: NonNull<u8>) -> Self {
        let granules = pages.div_ceil(GRANULE_PAGES);
        let rest = match Self::rest(pages) {
            0 => Words::none(),
            // SAFETY: the caller's promise.
            words => unsafe { Words::new(annex, words) },
        };
        let zero = |_| AtomicU64::new(0);
        let chunk = granules.div_ceil(CHUNKS).next_multiple_of(PAGE_WORDS);
        Self {
            first: std::array::from_fn(zero),
            rest,
            granules,
            chunk,
            touched: std::array::from_fn(zero),
        }
    }

    /// The bytes that a map for `pages` pages wants beside it.
    pub(crate) fn annex(pages: usize) -> usize {
        Words::bytes(Self::rest(pages))
    }

    /// How many words are not in the map itself: all, if they do not fit.
    fn rest(pages: usize) -> usize {
        let granules = pages.div_ceil(GRANULE_PAGES);
        if granules > FIRST_WORDS { granules } else { 0 }
    }

    /// Pages it has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.granules * GRANULE_PAGES
    }

    fn word(&self, granule: usize) -> &AtomicU64 {
        self.first.get(granule).unwrap_or_else(|| &self.rest[granule])
    }

    /// Claims a run of pages around `page`, all in `page`'s state, none outside `window`.
    pub(crate) fn claim(&self, page: usize, window: PageRange) -> Result<Claim<'_>, Lost> {
        if window.end > self.capacity() || !window.contains(page) {
            return Err(Lost::Stale);
        }
        let granule = page / GRANULE_PAGES;
        let bit = page % GRANULE_PAGES;
        self.touch(granule);
        let mut word = self.word(granule).load(Ordering::Relaxed);
        let (prior, run) = loop {
            let prior = if word & (1 << bit) == 0 { Prior::Absent } else { Prior::Parked };
            let free = in_state(word, prior) & mask_in(granule, window);
            if free & (1 << bit) == 0 {
                let claimed = word >> CLAIMED & (1 << bit) != 0;
                return Err(if claimed { Lost::Claimed } else { Lost::Present });
            }
            let run = run_around(free, bit);
            match self.try_claim(granule, word, run) {
                Ok(()) => break (prior, run),
                Err(now) => word = now,
            }
        };
        let first = granule * GRANULE_PAGES;
        let start = first + run.trailing_zeros() as usize;
        let end = first + 64 - run.leading_zeros() as usize;
        let mut claim = Claim { map: self, range: PageRange::new(start, end), prior };
        claim.extend_up(window);
        claim.extend_down(window);
        Ok(claim)
    }

    fn try_claim(&self, granule: usize, word: u64, run: u64) -> Result<(), u64> {
        // Acquire pairs with the Release of the thread that put the page into this state, so that its work on the page
        // comes before ours. The caller's fence orders the claim before our look at the counts.
        self.word(granule)
            .compare_exchange(word, word | run << CLAIMED, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
    }

    /// Makes sweeps visit the granule. Set before a claim; the caller's fence after the claim covers it, too.
    fn touch(&self, granule: usize) {
        if granule < self.first.len() {
            return;
        }
        let chunk = granule / self.chunk;
        let (word, bit) = (&self.touched[chunk / 64], 1 << (chunk % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn is_touched(&self, granule: usize) -> bool {
        granule < self.first.len() || self.is_chunk_touched(granule / self.chunk)
    }

    fn is_chunk_touched(&self, chunk: usize) -> bool {
        self.touched[chunk / 64].load(Ordering::Relaxed) & (1 << (chunk % 64)) != 0
    }

    /// Granules of `range` that may hold pages that are not absent.
    fn sweep(&self, range: PageRange) -> impl Iterator<Item = usize> {
        let mut at = granules(range);
        std::iter::from_fn(move || {
            loop {
                let granule = at.next()?;
                if self.is_touched(granule) {
                    return Some(granule);
                }
                at.start = (granule / self.chunk + 1) * self.chunk;
            }
        })
    }

    /// Waits until no page of `range` is claimed.
    ///
    /// The caller has marked the counts that cover the range and has passed its fence. Later claims will find the
    /// counts moved and will be released without touching the page.
    pub(crate) fn wait_for_claims(&self, range: PageRange) {
        for granule in self.sweep(range) {
            // Its Acquire pairs with the Release in `publish`: what the committer did to the page is done.
            primitive::wait_until_clear(self.word(granule), mask_in(granule, range) << CLAIMED);
        }
    }

    /// Makes all pages of `range` absent; returns how many held contents.
    pub(crate) fn set_absent(&self, range: PageRange) -> usize {
        self.clear(range, |mask| mask | mask << MAPPED)
    }

    /// Makes the present pages of `range` parked.
    pub(crate) fn park(&self, range: PageRange) {
        self.clear(range, |mask| mask << MAPPED);
    }

    fn clear(&self, range: PageRange, bits: impl Fn(u64) -> u64) -> usize {
        let mut resident = 0;
        for granule in self.sweep(range) {
            let mask = mask_in(granule, range);
            let gone = bits(mask);
            // Nobody sets these bits meanwhile: claims that will pass their re-check have settled, and later ones will
            // fail it.
            if self.word(granule).load(Ordering::Relaxed) & gone == 0 {
                continue;
            }
            // Release pairs with the Acquire of the next claim: our system calls on the page come before it.
            let old = self.word(granule).fetch_and(!gone, Ordering::Release);
            resident += (old & mask).count_ones() as usize;
        }
        resident
    }

    fn flip(&self, range: PageRange, bits: impl Fn(u64) -> u64) {
        for granule in granules(range) {
            // Release pairs with the Acquire in `wait_for_claims` and in the next claim.
            self.word(granule).fetch_xor(bits(mask_in(granule, range)), Ordering::Release);
        }
    }

    /// The smallest range that holds all pages of `range` with contents; empty when there are none.
    pub(crate) fn resident_hull(&self, range: PageRange) -> PageRange {
        let mut hull = PageRange::new(range.end, range.start);
        for granule in self.sweep(range) {
            let bits = self.word(granule).load(Ordering::Relaxed) & mask_in(granule, range);
            if bits != 0 {
                let first = granule * GRANULE_PAGES;
                hull.start = hull.start.min(first + bits.trailing_zeros() as usize);
                hull.end = hull.end.max(first + 64 - bits.leading_zeros() as usize);
            }
        }
        if hull.is_empty() { PageRange::new(range.start, range.start) } else { hull }
    }

    /// The pages of `range` with contents, granule by granule.
    pub(crate) fn contents(&self, range: PageRange) -> impl Iterator<Item = Contents> {
        self.sweep(range).filter_map(move |granule| {
            // Acquire pairs with the Release in `publish`, as for `are_present`.
            let word = self.word(granule).load(Ordering::Acquire);
            let resident = word & mask_in(granule, range);
            let mapped = word >> MAPPED & resident == resident;
            let first = granule * GRANULE_PAGES;
            (resident != 0).then_some(Contents { first, resident, mapped })
        })
    }

    /// Whether `page` holds contents and is mapped.
    pub(crate) fn is_present(&self, page: usize) -> bool {
        self.are_present(PageRange::new(page, page + 1))
    }

    /// Whether all pages of `range` hold contents and are mapped.
    pub(crate) fn are_present(&self, range: PageRange) -> bool {
        range.end <= self.capacity()
            && granules(range).all(|granule| {
                let mask = mask_in(granule, range);
                let both = mask | mask << MAPPED;
                // Acquire pairs with the Release in `publish`: the pages are as they were published.
                self.word(granule).load(Ordering::Acquire) & both == both
            })
    }

    /// Why `page` cannot be claimed now, if so.
    pub(crate) fn lost(&self, page: usize) -> Option<Lost> {
        if page >= self.capacity() {
            return Some(Lost::Stale);
        }
        let word = self.word(page / GRANULE_PAGES);
        // Acquire pairs with the Release in `publish`, as for `are_present`.
        let word = word.load(Ordering::Acquire) >> (page % GRANULE_PAGES);
        if word >> CLAIMED & 1 != 0 {
            return Some(Lost::Claimed);
        }
        (word >> MAPPED & 1 != 0).then_some(Lost::Present)
    }

    /// Pages of `range` with contents.
    pub(crate) fn count_resident(&self, range: PageRange) -> usize {
        let count =
            |granule: usize| self.word(granule).load(Ordering::Relaxed) & mask_in(granule, range);
        self.sweep(range).map(|granule| count(granule).count_ones() as usize).sum()
    }

    /// Pages with contents in the granule that holds `page`; a hint, unless all writers are excluded.
    pub(crate) fn density(&self, page: usize) -> usize {
        if page >= self.capacity() {
            return 0;
        }
        (self.word(page / GRANULE_PAGES).load(Ordering::Relaxed) & FIELD).count_ones() as usize
    }

    /// Whether any page is claimed; for test oracles.
    #[cfg(test)]
    pub(crate) fn any_claimed(&self, range: PageRange) -> bool {
        self.sweep(range).any(|granule| self.word(granule).load(Ordering::Relaxed) >> CLAIMED != 0)
    }

    /// How many host pages of words may be resident, besides the map itself.
    pub(crate) fn chunks(&self) -> usize {
        let chunks = self.touched.iter().map(|word| word.load(Ordering::Relaxed).count_ones());
        chunks.sum::<u32>() as usize * (self.chunk / PAGE_WORDS)
    }

    /// Gives the memory of the words back. All pages are absent, and no reader is left that could claim one.
    pub(crate) fn decommit(&self) {
        if self.rest.is_empty() {
            return;
        }
        let mut chunks =
            (0..self.granules.div_ceil(self.chunk)).filter(|&at| self.is_chunk_touched(at));
        if let Some(first) = chunks.next() {
            let last = chunks.next_back().unwrap_or(first);
            self.rest.decommit(first * self.chunk..(last + 1) * self.chunk);
        }
        self.touched.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl Claim<'_> {
    /// The pages that are claimed.
    pub(crate) fn range(&self) -> PageRange {
        self.range
    }

    /// What the pages were before the claim.
    pub(crate) fn prior(&self) -> Prior {
        self.prior
    }

    fn extend_up(&mut self, window: PageRange) {
        while self.range.end < window.end && self.range.end.is_multiple_of(GRANULE_PAGES) {
            let granule = self.range.end / GRANULE_PAGES;
            self.map.touch(granule);
            let word = self.map.word(granule).load(Ordering::Relaxed);
            let free = in_state(word, self.prior) & mask_in(granule, window);
            let run = if free & 1 == 0 { 0 } else { run_around(free, 0) };
            if run == 0 || self.map.try_claim(granule, word, run).is_err() {
                return;
            }
            self.range.end += run.count_ones() as usize;
        }
    }

    fn extend_down(&mut self, window: PageRange) {
        const LAST: usize = GRANULE_PAGES - 1;
        while self.range.start > window.start && self.range.start.is_multiple_of(GRANULE_PAGES) {
            let granule = self.range.start / GRANULE_PAGES - 1;
            self.map.touch(granule);
            let word = self.map.word(granule).load(Ordering::Relaxed);
            let free = in_state(word, self.prior) & mask_in(granule, window);
            let run = if free >> LAST == 0 { 0 } else { run_around(free, LAST) };
            if run == 0 || self.map.try_claim(granule, word, run).is_err() {
                return;
            }
            self.range.start -= run.count_ones() as usize;
        }
    }

    /// Makes all pages present.
    pub(crate) fn publish_all(self) {
        let pages = self.range.len();
        self.publish(pages);
    }

    /// Makes the first `pages` pages present: they are populated and mapped. The others are released.
    pub(crate) fn publish(mut self, pages: usize) {
        let prior = self.prior;
        let done = PageRange::new(self.range.start, self.range.start + pages);
        // Absent: claimed -> resident, mapped. Parked: claimed, resident -> resident, mapped. The claim excludes every
        // other change of these bits: a writer waits for a claim that did not see its counts.
        self.map.flip(done, |mask| match prior {
            Prior::Absent => mask | mask << MAPPED | mask << CLAIMED,
            Prior::Parked => mask << MAPPED | mask << CLAIMED,
        });
        self.range.start = done.end;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.map.flip(self.range, |mask| mask << CLAIMED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_around_any_bit() {
        assert_eq!(run_around(0b0111_0110, 1), 0b110);
        assert_eq!(run_around(0b0111_0110, 5), 0b111_0000);
        assert_eq!(run_around(FIELD, 15), FIELD);
        assert_eq!(run_around(1 << 15, 15), 1 << 15);
    }

    #[test]
    fn masks_cover_exactly_the_pages_of_the_range() {
        assert_eq!(mask_in(0, PageRange::new(0, 16)), 0xffff);
        assert_eq!(mask_in(1, PageRange::new(0, 16)), 0);
        assert_eq!(mask_in(1, PageRange::new(18, 100)), 0xfffc);
        assert_eq!(mask_in(2, PageRange::new(18, 35)), 0b111);
    }
}
