//! Bounds on time and memory for tests that feed the engine what nobody should.

use std::time::{Duration, Instant};

/// The most memory that this process has had resident so far, in bytes; none where the system does
/// not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// What `work` returns, if it took no longer than `limit`.
///
/// # Panics
///
/// When it took longer.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    let taken = begun.elapsed();
    assert!(taken <= limit, "{what} took {taken:?}");
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_rises_with_what_is_touched() {
        let Some(before) = peak_memory() else { return };
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = peak_memory().expect("it was there before");
        assert!(after >= before.max(block.len() as u64));
    }

    #[test]
    #[should_panic(expected = "sleeping took")]
    fn what_takes_too_long_is_told() {
        within(Duration::from_millis(1), "sleeping", || {
            std::thread::sleep(Duration::from_millis(5));
        });
    }
}
