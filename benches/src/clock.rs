//! [`Clock`]: what time is measured with.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A way to measure time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// What the calling thread has used of a processor, in user and kernel mode. Undisturbed by
    /// other processes; blind to waiting.
    Thread,
    /// What a clock on the wall would show.
    Wall,
}

impl Clock {
    /// How long `work` takes.
    pub fn time(self, work: impl FnOnce()) -> Duration {
        match self {
            Clock::Thread => {
                let start = thread_time();
                work();
                thread_time().saturating_sub(start)
            }
            Clock::Wall => {
                let start = Instant::now();
                work();
                start.elapsed()
            }
        }
    }
}

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    // Neither part of a thread's own time is ever negative.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
