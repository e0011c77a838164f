//! The order in which locks and counts may be taken, and a checker of it for debug builds.
//!
//! ```text
//! list of a budget  <  writer lock  <  bounds  <  bounds, nested (the next neighbour)  <  pages  <  structure
//! ```
//!
//! A thread may take what is to the right of everything that it holds, and nothing else. Counts may be written only
//! under the writer lock, so that each has a single writer. Another order could deadlock (two writers that wait for
//! each other's claims or locks) or turn a count even in mid-write. Sections that mark many counts at once use the
//! `raw` variants, which are not checked: they take the counts in address order by construction.
//!
//! What a thread holds is a set of bits in a thread-local word without destructor, which a signal handler may use.

use std::cell::Cell;

/// What can be held, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// The lock of the regions of a budget.
    Budget,
    /// A space's writer lock.
    Lock,
    /// The `bounds` count of a VMA.
    Bounds,
    /// The `bounds` count of its next neighbour.
    BoundsNested,
    /// A `pages` count.
    Pages,
    /// A table's `structure` count.
    Structure,
}

thread_local! {
    static HELD: Cell<u8> = const { Cell::new(0) };
}

/// Notes that the calling thread takes `level`.
///
/// # Panics
/// In debug builds, when the order forbids it.
#[inline]
pub(crate) fn acquire(level: Level) {
    if cfg!(debug_assertions) {
        let held = HELD.get();
        assert!(held >> level as u8 == 0, "lock order: {level:?} taken while {held:#b} is held");
        assert!(
            level <= Level::Lock || held >> Level::Lock as u8 & 1 == 1,
            "lock order: {level:?} taken without the writer lock"
        );
        HELD.set(held | 1 << level as u8);
    }
}

/// Notes that the calling thread releases it.
#[inline]
pub(crate) fn release(level: Level) {
    if cfg!(debug_assertions) {
        HELD.set(HELD.get() & !(1 << level as u8));
    }
}
