//! Failures on demand, for tests: the n-th system call of the calling thread is refused, once or from then on.

use std::cell::Cell;

use super::SysError;

/// Calls still to let through, and whether all later ones are refused, too.
#[derive(Clone, Copy)]
enum Plan {
    Off,
    Refuse { after: usize, for_good: bool },
    Done,
}

thread_local! {
    // No destructor: read in signal handlers.
    static PLAN: Cell<Plan> = const { Cell::new(Plan::Off) };
}

/// The `nth` call from now (counted from 0) is refused, and, if `for_good`, every one after it.
pub(crate) fn refuse(nth: usize, for_good: bool) {
    PLAN.set(Plan::Refuse { after: nth, for_good });
}

/// No call is refused any more. Returns whether one was.
pub(crate) fn stop() -> bool {
    match PLAN.replace(Plan::Off) {
        Plan::Off => false,
        Plan::Done => true,
        Plan::Refuse { after, for_good } => for_good && after == usize::MAX,
    }
}

/// Whether `call` may be made.
pub(super) fn pass(call: &'static str) -> Result<(), SysError> {
    let refused = SysError { call, errno: libc::ENOMEM };
    match PLAN.get() {
        Plan::Off | Plan::Done => Ok(()),
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
