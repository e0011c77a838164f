//! `crate::primitive`, over loom, with mutants.

use std::alloc::Layout;
use std::cell::Cell;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Mutex;

pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::atomic::{
    AtomicBool as PlainBool, AtomicPtr as PlainPtr, AtomicU64 as PlainU64,
    AtomicUsize as PlainUsize,
};

use crate::PAGE_SIZE;
pub(crate) use crate::primitive::{Fence, Level, Use};
use crate::sys::SysError;

/// loom runs all its threads on one OS thread, so they would share thread-locals: the order is not checked here.
pub(crate) mod lock_order {
    pub(crate) fn acquire(_: super::Level) {}
    pub(crate) fn release(_: super::Level) {}
}

pub(crate) const MAX_SHARDS: usize = 1;
pub(crate) const LANES: usize = 1;
pub(crate) const INLINE_VMAS: usize = 4;
pub(crate) const SPARES: usize = 2;
pub(crate) const READER_LANES: usize = 1;
pub(crate) const FIRST_WORDS: usize = 0;
pub(crate) const KEPT_BLOCKS: usize = 1;
pub(crate) const KEPT_MAPS: usize = 4;

/// A step of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The re-check of the counts between claim and populate.
    Recheck,
    /// The writer's wait for claims to settle.
    WaitForClaims,
    /// The owner check of a VMA's snapshot.
    CheckOwner,
    /// The validation of a snapshot that denies the access.
    ValidateDenial,
    /// The second look at where the space is, under the count of the pages.
    CheckGeometry,
    /// Looking for readers before pages are given back.
    LookForReaders,
    /// Leaving the count of a VMA unchanged when the VMA is used again.
    KeepCount,
}

/// What is wrong with the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    /// A fence is missing.
    Without(Fence),
    /// A step is left out.
    Skips(Step),
}

thread_local! {
    // loom runs all its threads on the OS thread of the test.
    static MUTANT: Cell<Mutant> = const { Cell::new(Mutant::None) };
}

/// Makes the protocol wrong for the model runs of this OS thread.
pub(crate) fn mutate(mutant: Mutant) {
    MUTANT.set(mutant);
}

/// Whether the protocol has this mutant now.
pub(crate) fn is(mutant: Mutant) -> bool {
    MUTANT.get() == mutant
}

pub(crate) fn fence(name: Fence, order: Ordering) {
    if !is(Mutant::Without(name)) {
        loom::sync::atomic::fence(order);
    }
}

pub(crate) fn wait_until_clear(word: &AtomicU64, mask: u64) {
    while !is(Mutant::Skips(Step::WaitForClaims)) && word.load(Ordering::Acquire) & mask != 0 {
        loom::thread::yield_now();
    }
}

pub(crate) fn are_zero<'a>(mut counts: impl Iterator<Item = &'a AtomicU64>) -> bool {
    is(Mutant::Skips(Step::LookForReaders))
        || counts.all(|count| count.load(Ordering::Acquire) == 0)
}

pub(crate) fn reader_lane() -> usize {
    0
}

/// Blocks of storage, from the allocator.
pub(crate) struct Arena {
    blocks: Mutex<Vec<(NonNull<u8>, Layout)>>,
}

// SAFETY: it owns what the pointers point to.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new() -> Self {
        Self { blocks: Mutex::default() }
    }

    pub(crate) fn take(&self, bytes: usize, _how: Use) -> Result<NonNull<u8>, SysError> {
        let layout = Layout::from_size_align(bytes, PAGE_SIZE).unwrap();
        // SAFETY: not of size zero.
        let start = NonNull::new(unsafe { std::alloc::alloc(layout) }).unwrap();
        self.blocks.lock().unwrap().push((start, layout));
        Ok(start)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for &(start, layout) in self.blocks.get_mut().unwrap().iter() {
            // SAFETY: allocated by `take`.
            unsafe { std::alloc::dealloc(start.as_ptr(), layout) };
        }
    }
}

/// Nothing: items are dropped and made anew.
pub(crate) unsafe fn decommit(_start: NonNull<u8>, _bytes: usize) {}

pub(crate) struct Words(Box<[AtomicU64]>);

impl Words {
    pub(crate) fn none() -> Self {
        Self(Box::default())
    }

    pub(crate) unsafe fn new(_start: NonNull<u8>, len: usize) -> Self {
        Self((0..len).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) const fn bytes(_len: usize) -> usize {
        0
    }

    /// As the kernel does it: whatever the words are at that moment is lost.
    pub(crate) fn decommit(&self, range: Range<usize>) {
        let end = range.end.min(self.0.len());
        self.0[range.start..end].iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

pub(crate) fn lane() -> usize {
    0
}

pub(crate) struct Lock(loom::sync::Mutex<()>);

pub(crate) type LockGuard<'a> = loom::sync::MutexGuard<'a, ()>;

impl Lock {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(()))
    }

    pub(crate) fn lock(&self) -> LockGuard<'_> {
        self.0.lock().unwrap()
    }
}
