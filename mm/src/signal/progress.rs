//! Progress: detects an instruction that faults at the same address again and again.
//!
//! A fault whose page another thread has claimed returns, and faults again until that thread is done. This may take
//! long: the system may be short of memory, or a debugger may have stopped that thread. The faulting thread spins at
//! first, then yields the processor, then sleeps.
//!
//! A fault that finds its page *present*, and claimed by nobody, usually came a moment too late. If that repeats, the
//! page is not mapped as this crate mapped it (something else changed its mapping), and to continue would be a hang.
//! The fault is given up, and ends the process as it would have without us.

use std::cell::Cell;

use crate::primitive;

/// Rounds after which a fault is given up: each of them has let other threads run.
const HOPELESS: u32 = 1 << 17;
/// The number of rounds from which `relax` yields in each round.
const YIELDS: u32 = 32;

/// A place, and how often in a row it has faulted.
#[derive(Clone, Copy)]
struct Place {
    pc: usize,
    addr: usize,
    /// Rounds in which another thread had claimed the page.
    waited: u32,
    /// Rounds in which the page was present.
    present: u32,
}

const NOWHERE: Place = Place { pc: 0, addr: 0, waited: 0, present: 0 };

thread_local! {
    // No destructor: used in signal handlers.
    static LAST: Cell<Place> = const { Cell::new(NOWHERE) };
}

/// Notes that this thread made a page present.
pub(super) fn made() {
    LAST.set(NOWHERE);
}

/// Waits a little for another thread, which is making the page present.
pub(super) fn wait(pc: usize, addr: usize) {
    let last = last(pc, addr);
    LAST.set(Place { waited: last.waited.saturating_add(1), ..last });
    primitive::relax(last.waited);
}

/// Notes that a fault found its page present. Returns whether the instruction should be tried again.
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
