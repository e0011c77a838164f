//! [`in_parallel`] and [`span`]: the same work on several threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

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

/// Runs `work(iterations)` on each of `threads` threads, all starting at once; the time from the first start
/// to the last end, however the threads share the processors.
pub fn span(threads: u32, iterations: u64, work: impl Fn(u64) + Sync) -> Duration {
    let start = Barrier::new(threads as usize);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                start.wait();
                let begin = Instant::now();
                work(iterations);
                (begin, Instant::now())
            })
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let begin = spans.iter().map(|span| span.0).min();
    let end = spans.iter().map(|span| span.1).max();
    begin.zip(end).map_or(Duration::ZERO, |(begin, end)| end - begin)
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

    #[test]
    fn a_span_covers_what_the_threads_do_one_after_the_other() {
        let turn = std::sync::Mutex::new(());
        let time = span(3, 5, |iterations| {
            let _turn = turn.lock().expect("no panic");
            thread::sleep(Duration::from_millis(iterations));
        });
        assert!(time >= Duration::from_millis(15), "{time:?}");
    }
}
