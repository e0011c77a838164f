//! `crate::primitive`, over loom, with mutants.

use std::cell::Cell;

pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::atomic::{
    AtomicBool as PlainBool, AtomicPtr as PlainPtr, AtomicU64 as PlainU64,
    AtomicUsize as PlainUsize,
};

pub(crate) use crate::primitive::{Fence, Level};

/// loom runs all its threads on one OS thread, so they would share thread-locals: the order is not checked here.
pub(crate) mod lock_order {
    pub(crate) fn acquire(_: super::Level) {}
    pub(crate) fn release(_: super::Level) {}
}

pub(crate) const MAX_SHARDS: usize = 1;
pub(crate) const LANES: usize = 1;
pub(crate) const INLINE_VMAS: usize = 4;
pub(crate) const SPARES: usize = 2;

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

pub(crate) fn zeroed_words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
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
