//! All atomics, fences and waits of the lock-free part.
//!
//! `space` and its submodules refer only to `super::primitive`, so that the model tests can compile the same files a
//! second time against loom's atomics. The fences have names ([`Fence`]): a test removes one at a time, and the model
//! checker must find the resulting bug.

use rustix::thread::{Timespec, futex};
use std::sync::atomic::AtomicU32;
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Numbers that order nothing: statistics, patterns, settings. The model checker need not see them.
pub(crate) use std::sync::atomic::{
    AtomicBool as PlainBool, AtomicPtr as PlainPtr, AtomicU64 as PlainU64,
    AtomicUsize as PlainUsize,
};

pub(crate) use crate::lock_order::{self, Level};
pub(crate) use crate::sys::{Arena, Use, Words, decommit};

/// Sequence counts for page states in one space, at most.
pub(crate) const MAX_SHARDS: usize = 256;
/// Lanes: copies of the counters and fault patterns in one space, so that threads do not share a cache line.
pub(crate) const LANES: usize = 4;
/// VMAs that fit the table inside a space; larger tables come from the pool.
pub(crate) const INLINE_VMAS: usize = 8;
/// Lanes in which readers announce themselves.
pub(crate) const READER_LANES: usize = 64;
/// Words of a page map that are in the map itself: those of 4 MiB, enough for a small program.
pub(crate) const FIRST_WORDS: usize = 64;
/// How many blocks of storage that nobody uses are kept, for each kind of storage.
pub(crate) const KEPT_BLOCKS: usize = 1;
/// How many page maps that nobody uses keep pages.
pub(crate) const KEPT_MAPS: usize = 16;
/// VMAs that a space keeps for windows that are opened in a signal handler.
pub(crate) const SPARES: usize = 6;

/// The fences of the protocol, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "speculation"), allow(dead_code, reason = "there are no counts"))]
pub(crate) enum Fence {
    /// After the count turned odd, before the first write of the payload.
    WriteBegin,
    /// After the last read of the payload, before the count is read again.
    ReadRetry,
    /// A committer's: after its claim, before it re-checks the counts.
    ClaimThenCheck,
    /// A writer's: after its counts turned odd, before it looks for claims.
    MarkThenLook,
    /// A reader's: after it has announced itself, before it looks for storage.
    EnterThenLook,
    /// After storage was taken out of every table, before readers are looked for.
    RetireThenLook,
}

/// A memory fence of the protocol.
#[inline(always)]
pub(crate) fn fence(_name: Fence, order: Ordering) {
    std::sync::atomic::fence(order);
}

/// One round of waiting for another thread: spins at first, then yields the processor, and in the end sleeps, because
/// the other thread may have a lower priority or be stopped.
///
/// Safe in a signal handler.
pub(crate) fn relax(round: u32) {
    match round {
        0..32 => std::hint::spin_loop(),
        32..1024 => rustix::thread::sched_yield(),
        _ => {
            let nap =
                Timespec { tv_sec: 0, tv_nsec: if round < 4096 { 50_000 } else { 1_000_000 } };
            // If a signal ends the sleep early, the caller's loop looks again.
            let _ = rustix::thread::nanosleep(&nap);
        }
    }
}

/// Waits until no bit of `mask` is set in `word`. The caller then sees everything that was done before the bits were
/// cleared.
pub(crate) fn wait_until_clear(word: &AtomicU64, mask: u64) {
    let mut round = 0;
    while word.load(Ordering::Acquire) & mask != 0 {
        relax(round);
        round = round.saturating_add(1);
    }
}

/// Whether all counts are zero, each at some time during the call. The caller then sees everything that was done before.
pub(crate) fn are_zero<'a>(mut counts: impl Iterator<Item = &'a AtomicU64>) -> bool {
    counts.all(|count| count.load(Ordering::Acquire) == 0)
}

/// The calling thread's lane.
pub(crate) fn lane() -> usize {
    thread_number() % LANES
}

/// The calling thread's lane as a reader.
pub(crate) fn reader_lane() -> usize {
    thread_number() % READER_LANES
}

/// Threads count from zero. In a thread-local word without destructor: safe in a signal handler.
fn thread_number() -> usize {
    use std::cell::Cell;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

/// A number that identifies the calling thread and is never zero: the address of a thread-local of its own. (The
/// kernel's thread id would change in a fork.)
fn this_thread() -> usize {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

/// A lock that may be taken in a signal handler: no allocation, and no thread-local destructor. A thread that would
/// wait for itself ends the process with a message instead of hanging.
///
/// `state` is 0 (free), 1 (held) or 2 (held, somebody may sleep).
pub(crate) struct Lock {
    state: AtomicU32,
    owner: AtomicUsize,
    level: Level,
}

impl Lock {
    /// A free writer lock.
    pub(crate) const fn new() -> Self {
        Self::of(Level::Lock)
    }

    /// A free lock of another level.
    pub(crate) const fn of(level: Level) -> Self {
        Self { state: AtomicU32::new(0), owner: AtomicUsize::new(0), level }
    }

    /// Takes the lock, sleeping while another thread holds it.
    ///
    /// If the calling thread already holds the lock, that is a bug in this crate (a writer touched guest memory inside
    /// its section). The process ends with a message, because a signal handler can neither return nor unwind from that.
    pub(crate) fn lock(&self) -> LockGuard<'_> {
        let me = this_thread();
        if self.owner.load(Ordering::Relaxed) == me {
            crate::abort::abort("seqfault-mm: a thread faulted on a region whose lock it holds\n");
        }
        // Acquire pairs with the Release in `drop`: the last holder's writes are seen.
        if self.state.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_contended();
        }
        self.owner.store(me, Ordering::Relaxed);
        lock_order::acquire(self.level);
        LockGuard { lock: self }
    }

    #[cold]
    fn lock_contended(&self) {
        for _ in 0..100 {
            if self.state.load(Ordering::Relaxed) == 0
                && self.state.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return;
            }
            std::hint::spin_loop();
        }
        while self.state.swap(2, Ordering::Acquire) != 0 {
            // An error means that the value is not 2 any more, or an interruption: look again.
            let _ = futex::wait(&self.state, futex::Flags::PRIVATE, 2, None);
        }
    }
}

/// Proof that the writer lock is held; releases it.
pub(crate) struct LockGuard<'a> {
    lock: &'a Lock,
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        lock_order::release(self.lock.level);
        self.lock.owner.store(0, Ordering::Relaxed);
        // Release pairs with the Acquire of the next holder.
        if self.lock.state.swap(0, Ordering::Release) == 2 {
            let _ = futex::wake(&self.lock.state, futex::Flags::PRIVATE, 1);
        }
    }
}
