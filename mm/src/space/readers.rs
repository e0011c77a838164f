//! Readers: threads that may hold references to storage that goes out of use meanwhile.
//!
//! Storage is type-stable: it may be used again at once, since the counts tell a reader that it looks at something
//! else. But before its pages are given back, or it becomes storage of another kind, all readers that may have seen it
//! must have left (a grace period, as the kernel's RCU has it). A reader announces itself in a lane of its own, so
//! that readers share no cache line. Nobody waits for readers: as long as one is inside, pages simply stay.

use super::primitive::{self, AtomicU64, Fence, Ordering, READER_LANES};

/// How many readers are inside, by lane.
pub(crate) struct Readers {
    lanes: [Lane; READER_LANES],
}

#[repr(align(64))]
struct Lane(AtomicU64);

/// Proof that the calling thread has announced itself: what it finds in a table stays as it is while this lives.
pub(crate) struct Reading<'a> {
    lane: &'a Lane,
}

impl Readers {
    /// None.
    pub(crate) fn new() -> Self {
        Self { lanes: std::array::from_fn(|_| Lane(AtomicU64::new(0))) }
    }

    /// Announces the calling thread. Async-signal-safe.
    pub(crate) fn enter(&self) -> Reading<'_> {
        let lane = &self.lanes[primitive::reader_lane()];
        lane.0.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `have_left`: either the reader is seen there, or it sees here that the storage is out
        // of every table.
        primitive::fence(Fence::EnterThenLook, Ordering::SeqCst);
        Reading { lane }
    }

    /// Whether all readers have left that may have seen storage which the caller has seen taken out of every table.
    pub(crate) fn have_left(&self) -> bool {
        primitive::fence(Fence::RetireThenLook, Ordering::SeqCst);
        primitive::are_zero(self.lanes.iter().map(|lane| &lane.0))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `are_zero`: what the reader did to the storage is done.
        self.lane.0.fetch_sub(1, Ordering::Release);
    }
}
