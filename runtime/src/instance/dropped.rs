//! [`Dropped`]: which segments of one kind an instance has dropped.

/// One bit for each segment, in the instance's context, where compiled code reads them.
pub(super) struct Dropped {
    bits: *mut u64,
    /// The segments below this one have been applied, so those that are not passive are dropped.
    applied: usize,
}

impl Dropped {
    /// # Safety
    ///
    /// There must be a bit for each segment that this is asked about, in words that nothing else writes, as long as this
    /// lives.
    pub(super) unsafe fn new(bits: *mut u64) -> Dropped {
        Dropped { bits, applied: 0 }
    }

    pub(super) fn add(&mut self, segment: u32) {
        // SAFETY: the promise of `new`.
        unsafe { *self.word(segment) |= 1 << (segment % 64) };
    }

    /// Adds all of the first `count` segments that are not passive. Their bits stay as they are.
    pub(super) fn add_applied(&mut self, count: usize) {
        self.applied = count;
    }

    pub(super) fn contains(&self, segment: u32, passive: bool) -> bool {
        // SAFETY: the promise of `new`.
        let word = || unsafe { *self.word(segment) };
        !passive && (segment as usize) < self.applied || word() >> (segment % 64) & 1 != 0
    }

    fn word(&self, segment: u32) -> *mut u64 {
        self.bits.wrapping_add(segment as usize / 64)
    }
}
