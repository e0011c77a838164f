//! Clocks: the host's, and clocks that an embedder controls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId as HostClock, Timespec, clock_getres, clock_gettime};

use crate::abi::Errno;

/// A clock of preview 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockId {
    /// Wall-clock time since 1970. May jump.
    Realtime,
    /// Never goes back. Its zero has no meaning.
    Monotonic,
    /// CPU time that the process has used.
    ProcessCpuTime,
    /// CPU time that the calling thread has used.
    ThreadCpuTime,
}

impl ClockId {
    pub(crate) fn new(raw: u32) -> Result<Self, Errno> {
        Ok(match raw {
            0 => ClockId::Realtime,
            1 => ClockId::Monotonic,
            2 => ClockId::ProcessCpuTime,
            3 => ClockId::ThreadCpuTime,
            _ => return Err(Errno::Inval),
        })
    }
}

/// The source of a guest's time.
pub trait WasiClocks: Send + Sync {
    /// The smallest step of `clock`. [`Errno::NotSup`] for a clock that does not exist.
    fn resolution(&self, clock: ClockId) -> Result<Duration, Errno>;

    /// The time on `clock`. A monotonic clock must never read zero, because the Go runtime then
    /// takes it for broken.
    fn now(&self, clock: ClockId) -> Result<Duration, Errno>;

    /// Lets `wait` pass, instead of really waiting.
    ///
    /// Real clocks return false, and the guest sleeps on the host. A clock that is not the host's
    /// advances and returns true.
    fn skip(&self, wait: Duration) -> bool {
        let _ = wait;
        false
    }
}

/// The host's clocks. The monotonic one starts when this is made, so that a guest does not learn
/// how long the host has been running.
#[derive(Debug)]
pub struct SystemClocks {
    origin: Duration,
}

impl SystemClocks {
    /// Clocks whose monotonic time starts now.
    pub fn new() -> Self {
        Self { origin: duration(clock_gettime(HostClock::Monotonic)) }
    }
}

impl Default for SystemClocks {
    fn default() -> Self {
        Self::new()
    }
}

impl WasiClocks for SystemClocks {
    fn resolution(&self, clock: ClockId) -> Result<Duration, Errno> {
        Ok(duration(clock_getres(host_clock(clock))))
    }

    fn now(&self, clock: ClockId) -> Result<Duration, Errno> {
        let now = duration(clock_gettime(host_clock(clock)));
        Ok(match clock {
            ClockId::Monotonic => now.saturating_sub(self.origin).max(Duration::from_nanos(1)),
            _ => now,
        })
    }
}

/// Clocks that give the same times in every run: each reading is one step later than the last,
/// and sleeping takes no time.
#[derive(Debug)]
pub struct DeterministicClocks {
    start: Duration,
    step: u64,
    elapsed: AtomicU64,
}

impl DeterministicClocks {
    /// Clocks that start at `start` after 1970 and advance by `step` at every reading, but at least
    /// by a nanosecond.
    pub fn new(start: Duration, step: Duration) -> Self {
        Self { start, step: nanos(step).max(1), elapsed: AtomicU64::new(0) }
    }

    fn advance(&self, by: u64) -> u64 {
        // Relaxed: the readings of one counter are ordered among themselves, and order nothing else.
        self.elapsed.fetch_add(by, Ordering::Relaxed).wrapping_add(by)
    }
}

impl WasiClocks for DeterministicClocks {
    fn resolution(&self, _: ClockId) -> Result<Duration, Errno> {
        Ok(Duration::from_nanos(self.step))
    }

    fn now(&self, clock: ClockId) -> Result<Duration, Errno> {
        let elapsed = Duration::from_nanos(self.advance(self.step));
        Ok(match clock {
            ClockId::Realtime => self.start.saturating_add(elapsed),
            _ => elapsed,
        })
    }

    fn skip(&self, wait: Duration) -> bool {
        self.advance(nanos(wait));
        true
    }
}

/// Whole nanoseconds, as a guest counts time; the largest value is in the year 2554.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn host_clock(clock: ClockId) -> HostClock {
    match clock {
        ClockId::Realtime => HostClock::Realtime,
        ClockId::Monotonic => HostClock::Monotonic,
        ClockId::ProcessCpuTime => HostClock::ProcessCPUTime,
        ClockId::ThreadCpuTime => HostClock::ThreadCPUTime,
    }
}

/// A host time; a time before its clock's zero counts as zero.
fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_monotonic_clock_starts_near_zero_and_is_never_zero() {
        let clocks = SystemClocks::new();
        let first = clocks.now(ClockId::Monotonic).unwrap();
        assert!(first > Duration::ZERO && first < Duration::from_secs(60));
        assert!(clocks.now(ClockId::Monotonic).unwrap() >= first);
        assert!(clocks.now(ClockId::Realtime).unwrap() > Duration::from_secs(1_600_000_000));
    }

    #[test]
    fn deterministic_clocks_repeat() {
        let run = || {
            let clocks =
                DeterministicClocks::new(Duration::from_secs(10), Duration::from_millis(1));
            let one = clocks.now(ClockId::Monotonic).unwrap();
            assert!(clocks.skip(Duration::from_secs(5)));
            [one, clocks.now(ClockId::Realtime).unwrap()]
        };
        assert_eq!(run(), [Duration::from_millis(1), Duration::from_millis(15_002)]);
        assert_eq!(run(), run());
    }
}
