//! Processor time and memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What something took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Processor time of the whole process.
    pub(crate) time: Duration,
    /// The most bytes that were allocated at once, beyond what there was before.
    pub(crate) peak: usize,
}

/// Runs something. Nothing else may run at the same time.
pub(crate) fn measure(run: impl FnOnce()) -> Cost {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = processor_time();
    run();
    let time = processor_time() - start;
    Cost { time, peak: PEAK.load(Ordering::Relaxed) - before }
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Counts the bytes that are allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

impl Counting {
    fn grown(&self, size: usize) {
        let now = NOW.fetch_add(size, Ordering::Relaxed) + size;
        PEAK.fetch_max(now, Ordering::Relaxed);
    }

    fn shrunk(&self, size: usize) {
        NOW.fetch_sub(size, Ordering::Relaxed);
    }
}

// SAFETY: all is done by the system's allocator; this counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.shrunk(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As much as both for a moment, as if it had moved.
        self.grown(size);
        // SAFETY: the caller's promise.
        let moved = unsafe { System.realloc(at, layout, size) };
        self.shrunk(layout.size());
        moved
    }
}
