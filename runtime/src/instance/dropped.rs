//! [`Dropped`]: which segments of one kind an instance has dropped.

use crate::fallible::{self, NoMemory};

/// One bit for each segment.
pub(super) struct Dropped {
    bits: Vec<u64>,
    /// The segments below this one have been applied, so those that are not passive are dropped.
    applied: usize,
}

impl Dropped {
    /// None of `count` segments.
    pub(super) fn none(count: usize) -> Result<Dropped, NoMemory> {
        Ok(Dropped { bits: fallible::zeroes(count.div_ceil(64))?, applied: 0 })
    }

    pub(super) fn add(&mut self, segment: u32) {
        self.bits[segment as usize / 64] |= 1 << (segment % 64);
    }

    /// Adds all of the first `count` segments that are not passive.
    pub(super) fn add_applied(&mut self, count: usize) {
        self.applied = count;
    }

    pub(super) fn contains(&self, segment: u32, passive: bool) -> bool {
        !passive && (segment as usize) < self.applied
            || self.bits[segment as usize / 64] >> (segment % 64) & 1 != 0
    }
}
