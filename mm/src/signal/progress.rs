//! Progress: the same instruction that faults at the same address again and again.
//!
//! A fault that loses its claim returns and faults again until the winner is done; after a few rounds it gives the
//! processor away in between. When that does not end, the page is not what this crate made it (somebody else changed
//! its mapping), and to go on would be a hang: the fault is given up, and ends the process as it would have without us.

use std::cell::Cell;

/// Rounds after which the thread yields each time.
const PATIENCE: u32 = 32;
/// Rounds after which it gives up: each of them has let all other threads run.
const HOPELESS: u32 = 1 << 17;

thread_local! {
    // No destructor: used in signal handlers.
    static LAST: Cell<(usize, usize, u32)> = const { Cell::new((0, 0, 0)) };
}

/// Notes that this thread brought a page.
pub(super) fn made() {
    LAST.set((0, 0, 0));
}

/// Notes that a fault found its page in other hands; whether it is worth trying the instruction again.
pub(super) fn is_likely(pc: usize, addr: usize) -> bool {
    let (last_pc, last_addr, rounds) = LAST.get();
    let rounds = if (last_pc, last_addr) == (pc, addr) { rounds + 1 } else { 0 };
    LAST.set((pc, addr, rounds));
    if rounds > PATIENCE {
        rustix::thread::sched_yield();
    }
    if rounds < HOPELESS {
        return true;
    }
    made();
    false
}
