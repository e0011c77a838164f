//! [`Dropped`]: which segments of one kind an instance has dropped.

use crate::fallible::{self, NoMemory};

/// One bit for each segment.
pub(super) struct Dropped(Vec<u64>);

impl Dropped {
    /// None of `count` segments.
    pub(super) fn none(count: usize) -> Result<Dropped, NoMemory> {
        Ok(Dropped(fallible::zeroes(count.div_ceil(64))?))
    }

    pub(super) fn add(&mut self, segment: u32) {
        self.0[segment as usize / 64] |= 1 << (segment % 64);
    }

    pub(super) fn contains(&self, segment: u32) -> bool {
        self.0[segment as usize / 64] >> (segment % 64) & 1 != 0
    }
}
