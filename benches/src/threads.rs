//! [`in_parallel`]: the same work on several threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

/// Runs `work(iterations)` on each of `threads` threads, all starting at once; the mean of the times
/// that they return, which is what the work costs one thread while the others do the same.
///
/// One thread is the calling one: nothing is started for it.
pub fn in_parallel(
    threads: u32,
    iterations: u64,
    work: impl Fn(u64) -> Duration + Sync,
) -> Duration {
    if threads == 1 {
        return work(iterations);
    }
    let start = Barrier::new(threads as usize);
    let total: Duration = thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                start.wait();
                work(iterations)
            })
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    total / threads
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn every_thread_does_all_iterations_and_times_are_averaged() {
        for threads in [1, 3] {
            let done = AtomicU64::new(0);
            let time = in_parallel(threads, 5, |iterations| {
                done.fetch_add(iterations, Ordering::Relaxed);
                Duration::from_secs(iterations)
            });
            assert_eq!(done.into_inner(), 5 * u64::from(threads));
            assert_eq!(time, Duration::from_secs(5));
        }
    }
}
