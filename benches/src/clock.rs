//! [`Clock`]: what time is measured with.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A way to measure time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// What the calling thread has used of a processor, in user and kernel mode. Undisturbed by
    /// other processes; blind to waiting.
    Thread,
    /// What all threads of the process have used.
    Process,
    /// What a clock on the wall would show.
    Wall,
}

impl Clock {
    /// How long `work` takes.
    pub fn time(self, work: impl FnOnce()) -> Duration {
        let start = self.now();
        work();
        self.now().saturating_sub(start)
    }

    /// What it shows.
    pub(crate) fn now(self) -> Duration {
        let now = clock_gettime(match self {
            Clock::Thread => ClockId::ThreadCPUTime,
            Clock::Process => ClockId::ProcessCPUTime,
            Clock::Wall => ClockId::Monotonic,
        });
        // Neither part of these clocks is ever negative.
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}
