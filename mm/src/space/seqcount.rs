//! `SeqCount`: even at rest, odd while a writer is inside, never reset.
//!
//! # The protocol
//!
//! A reader takes the count (`try_begin`), reads the payload with relaxed loads, and asks whether the count has moved
//! (`retry`). It never waits: an odd count is an answer. A writer turns the count odd, writes the payload with relaxed
//! stores, and turns the count even. A lock outside of the count makes it the only writer.
//!
//! A count starts at zero only once. When its storage is reused, the count keeps rising. So a reader that held on to it
//! across the reuse sees another value than before.
//!
//! Without the feature `speculation` there are no readers: the count is an empty type, and its methods do nothing.

#[cfg(feature = "speculation")]
use super::primitive::{self, AtomicU64, Fence, Ordering};
use super::primitive::{Level, lock_order};

/// A count that was seen at rest, for a later comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u64);

/// The sequence count itself.
pub(crate) struct SeqCount {
    #[cfg(feature = "speculation")]
    value: AtomicU64,
}

/// A write section; ends when dropped.
pub(crate) struct WriteGuard<'a> {
    count: &'a SeqCount,
    level: Level,
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        self.count.raw_write_end();
        lock_order::release(self.level);
    }
}

impl SeqCount {
    /// Enters the write section of a count of kind `level`, checking the lock order in debug builds.
    pub(crate) fn write_begin(&self, level: Level) -> WriteGuard<'_> {
        lock_order::acquire(level);
        self.raw_write_begin();
        WriteGuard { count: self, level }
    }

    /// `write_begin` on the `bounds` of a VMA while those of its lower neighbour are held.
    pub(crate) fn write_begin_nested(&self) -> WriteGuard<'_> {
        self.write_begin(Level::BoundsNested)
    }
}

#[cfg(feature = "speculation")]
impl SeqCount {
    /// A count at rest: once per storage, never again on reuse.
    pub(crate) fn new() -> Self {
        Self { value: AtomicU64::new(0) }
    }

    /// The count, unless a writer is inside.
    pub(crate) fn try_begin(&self) -> Option<Seen> {
        // Acquire pairs with the Release in `raw_write_end`: the payload is at least as new as the count.
        let value = self.value.load(Ordering::Acquire);
        (value & 1 == 0).then_some(Seen(value))
    }

    /// Whether the count has moved since `seen`, so that the values read in between must not be used.
    pub(crate) fn retry(&self, seen: Seen) -> bool {
        // Pairs with the fence in `raw_write_begin`: a payload load that saw a writer's store makes the load below see
        // that writer's odd count (or a later one).
        primitive::fence(Fence::ReadRetry, Ordering::Acquire);
        self.has_moved(seen)
    }

    /// Like `retry`, for a caller that has just passed a stronger fence of its own.
    pub(crate) fn has_moved(&self, seen: Seen) -> bool {
        self.value.load(Ordering::Relaxed) != seen.0
    }

    /// Enters the write section without the lock-order check, for callers that mark many counts at once.
    ///
    /// The caller must be the only writer (it holds the writer lock). Panics if the count is already odd: a second
    /// begin would turn it even in mid-write.
    pub(crate) fn raw_write_begin(&self) {
        let value = self.value.load(Ordering::Relaxed);
        assert!(value & 1 == 0, "write_begin on a sequence count that is in a write section");
        self.value.store(value + 1, Ordering::Relaxed);
        // Pairs with the fence in `retry`: the payload stores that follow do not become visible before the odd count.
        primitive::fence(Fence::WriteBegin, Ordering::Release);
    }

    /// Leaves the write section.
    pub(crate) fn raw_write_end(&self) {
        let value = self.value.load(Ordering::Relaxed);
        assert!(value & 1 == 1, "write_end on a sequence count that is at rest");
        // Release pairs with the Acquire in `try_begin`.
        self.value.store(value + 1, Ordering::Release);
    }

    /// Must never happen on reuse: a mutant of the model tests does it.
    #[cfg(test)]
    #[allow(dead_code, reason = "called in the build for the model checker only")]
    pub(crate) fn reset(&self) {
        self.value.store(0, Ordering::Relaxed);
    }

    /// Whether a writer is inside, for oracles.
    #[cfg(test)]
    pub(crate) fn in_write_section(&self) -> bool {
        self.value.load(Ordering::Relaxed) & 1 == 1
    }
}

#[cfg(not(feature = "speculation"))]
impl SeqCount {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self {}
    }

    /// Always at rest: without speculation only the lock's holder asks.
    pub(crate) const fn try_begin(&self) -> Option<Seen> {
        Some(Seen(0))
    }

    /// Never: see `try_begin`.
    pub(crate) const fn retry(&self, _seen: Seen) -> bool {
        false
    }

    /// Never: see `try_begin`.
    pub(crate) const fn has_moved(&self, _seen: Seen) -> bool {
        false
    }

    /// Nothing.
    pub(crate) const fn raw_write_begin(&self) {}

    /// Nothing.
    pub(crate) const fn raw_write_end(&self) {}

    /// Never.
    #[cfg(test)]
    pub(crate) const fn in_write_section(&self) -> bool {
        false
    }
}
