//! Failures on demand, for tests: the n-th system call of the calling thread is refused (once, or all from then on), or
//! takes long.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::SysError;

/// How many calls still succeed, and whether all later ones are refused.
#[derive(Clone, Copy)]
enum Plan {
    Off,
    Refuse { after: usize, for_good: bool },
    Answer { errno: i32, times: usize },
    Stall { begun: &'static AtomicBool, end: &'static AtomicBool },
    Done,
}

thread_local! {
    // No destructor: read in signal handlers.
    static PLAN: Cell<Plan> = const { Cell::new(Plan::Off) };
}

/// The `nth` call from now (counted from 0) is refused. With `for_good`, so is every later call.
pub(crate) fn refuse(nth: usize, for_good: bool) {
    PLAN.set(Plan::Refuse { after: nth, for_good });
}

/// The next `times` calls are refused with `errno`.
pub(crate) fn answer(errno: i32, times: usize) {
    PLAN.set(Plan::Answer { errno, times });
}

/// The next call sets `begun` and waits for `end`.
pub(crate) fn stall(begun: &'static AtomicBool, end: &'static AtomicBool) {
    PLAN.set(Plan::Stall { begun, end });
}

/// Calls succeed again. Returns whether one was refused.
pub(crate) fn stop() -> bool {
    match PLAN.replace(Plan::Off) {
        Plan::Off => false,
        Plan::Done | Plan::Stall { .. } => true,
        Plan::Answer { times, .. } => times == 0,
        Plan::Refuse { after, for_good } => for_good && after == usize::MAX,
    }
}

/// Whether `call` may be made.
pub(super) fn pass(call: &'static str) -> Result<(), SysError> {
    let refused = SysError { call, errno: libc::ENOMEM };
    match PLAN.get() {
        Plan::Off | Plan::Done => Ok(()),
        Plan::Answer { times: 0, .. } => Ok(()),
        Plan::Answer { errno, times } => {
            PLAN.set(Plan::Answer { errno, times: times - 1 });
            Err(SysError { call, errno })
        }
        Plan::Stall { begun, end } => {
            PLAN.set(Plan::Done);
            begun.store(true, Ordering::Release);
            while !end.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }
        // `usize::MAX` stands for "has begun to refuse".
        Plan::Refuse { after: usize::MAX, .. } => Err(refused),
        Plan::Refuse { after: 0, for_good: false } => {
            PLAN.set(Plan::Done);
            Err(refused)
        }
        Plan::Refuse { after: 0, for_good: true } => {
            PLAN.set(Plan::Refuse { after: usize::MAX, for_good: true });
            Err(refused)
        }
        Plan::Refuse { after, for_good } => {
            PLAN.set(Plan::Refuse { after: after - 1, for_good });
            Ok(())
        }
    }
}
