//! The `pages` counts: they cover which pages are present, sharded by address.
//!
//! Stripe `s` of a space uses count `s & mask`, so that a discard in one stripe does not abort a fault in another. With
//! one shard all stripes share one count: this is the classic design, kept as a parameter for comparison.

use super::primitive::{AtomicUsize, MAX_SHARDS, Ordering};
use super::seqcount::SeqCount;
use super::types::STRIPE_PAGES;

/// The `pages` counts of one space.
///
/// The counts are not padded to cache lines: a count is written before and after a system call that costs thousands of
/// times as much as the cache line, and many counts are worth more than separate lines. A fault whose stripe shares its
/// count with a stripe under discard waits for the whole discard.
pub(crate) struct Shards {
    counts: [SeqCount; MAX_SHARDS],
    /// The number of shards in use, minus one. Written in a write section of all counts.
    mask: AtomicUsize,
}

impl Shards {
    /// All at rest.
    pub(crate) fn new() -> Self {
        Self { counts: std::array::from_fn(|_| SeqCount::new()), mask: AtomicUsize::new(0) }
    }

    /// The mask that selects a count; part of the geometry that a fault compares.
    pub(crate) fn mask(&self) -> usize {
        self.mask.load(Ordering::Relaxed)
    }

    /// Uses `count` shards (rounded up to a power of two); the caller is in a write section of all.
    pub(crate) fn set_count(&self, count: usize) {
        let count = count.clamp(1, MAX_SHARDS).next_power_of_two().min(MAX_SHARDS);
        if self.mask() != count - 1 {
            self.mask.store(count - 1, Ordering::Relaxed);
        }
    }

    /// The count that covers `page` under `mask`.
    pub(crate) fn of(&self, page: usize, mask: usize) -> &SeqCount {
        &self.counts[(page / STRIPE_PAGES) & mask & (MAX_SHARDS - 1)]
    }

    /// All counts, in lock order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SeqCount> {
        self.counts.iter()
    }
}
