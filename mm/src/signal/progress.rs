//! Progress: the same instruction that faults at the same address again and again.
//!
//! A fault that finds its page in another thread's hands returns and faults again until that thread is done, however long
//! it takes: the system may be short of memory, or a debugger may hold that thread. It spins at first, then gives the
//! processor away, then sleeps.
//!
//! A fault that finds its page *there*, with nobody at work on it, came a moment too late. When that does not end, the page
//! is not what this crate made it (somebody else changed its mapping), and to go on would be a hang: the fault is given up,
//! and ends the process as it would have without us.

use std::cell::Cell;

use crate::primitive;

/// Rounds after which it gives up: each of them has let other threads run.
const HOPELESS: u32 = 1 << 17;
/// Rounds from which on a thread yields in each, in the count of `relax`.
const YIELDS: u32 = 32;

/// A place, and how often in a row it was faulted on.
#[derive(Clone, Copy)]
struct Place {
    pc: usize,
    addr: usize,
    /// Rounds in which another thread had the page.
    waited: u32,
    /// Rounds in which the page was there.
    present: u32,
}

const NOWHERE: Place = Place { pc: 0, addr: 0, waited: 0, present: 0 };

thread_local! {
    // No destructor: used in signal handlers.
    static LAST: Cell<Place> = const { Cell::new(NOWHERE) };
}

/// Notes that this thread brought a page.
pub(super) fn made() {
    LAST.set(NOWHERE);
}

/// Waits a little for another thread, which is bringing the page.
pub(super) fn wait(pc: usize, addr: usize) {
    let last = last(pc, addr);
    LAST.set(Place { waited: last.waited.saturating_add(1), ..last });
    primitive::relax(last.waited);
}

/// Notes that a fault found its page present; whether it is worth trying the instruction again.
pub(super) fn is_likely(pc: usize, addr: usize) -> bool {
    let last = last(pc, addr);
    LAST.set(Place { present: last.present + 1, ..last });
    primitive::relax(last.present.min(YIELDS));
    if last.present < HOPELESS {
        return true;
    }
    made();
    false
}

fn last(pc: usize, addr: usize) -> Place {
    let last = LAST.get();
    if (last.pc, last.addr) == (pc, addr) { last } else { Place { pc, addr, ..NOWHERE } }
}
