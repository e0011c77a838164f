//! Placing: who may put our handlers in place.

use std::sync::atomic::{AtomicI32, Ordering};

/// The thread that is placing handlers, or zero.
static PLACER: AtomicI32 = AtomicI32::new(0);

/// The right to put our handlers in place, which one thread at a time can have. A signal handler can see that a thread
/// has it. A thread that does not exist after a fork loses it.
pub(super) struct Placing;

impl Placing {
    pub(super) fn begin() -> Self {
        loop {
            let placer = PLACER.load(Ordering::Relaxed);
            // Acquire pairs with the Release in `drop`; SeqCst, so that it also comes before our handler can run.
            let is_free = placer == 0 || !is_alive(placer);
            if is_free
                && PLACER
                    .compare_exchange(placer, this_thread(), Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            {
                return Self;
            }
            rustix::thread::sched_yield();
        }
    }
}

impl Drop for Placing {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `begin` and in `is_being_placed`.
        PLACER.store(0, Ordering::Release);
    }
}

/// Whether another thread is putting a handler of ours in place. Until it is done, chains may lack handlers that were
/// installed in between. Async-signal-safe.
pub(super) fn is_being_placed() -> bool {
    // Acquire pairs with the Release in `Placing::drop`: a thread that sees the end of the placing also sees the new
    // chains.
    let placer = PLACER.load(Ordering::Acquire);
    placer != 0 && placer != this_thread() && is_alive(placer)
}

fn this_thread() -> i32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }
}

/// Whether this process has a thread of that number.
fn is_alive(thread: i32) -> bool {
    // SAFETY: takes integers; signal 0 is none.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) == 0 }
}
