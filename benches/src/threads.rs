//! [`in_parallel`] and [`sustained`]: the same work on several threads at once.

use crate::Clock;
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

/// How long threads work in [`sustained`]: many times as long as the system lets one of them run before it is another's
/// turn.
const WHILE: Duration = Duration::from_millis(100);
/// How long a thread works between two looks at the clock.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

/// What a number of iterations on each of some threads takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sustained {
    /// By the clock on the wall.
    pub wall: Duration,
    /// Of processors, by all threads together.
    pub processor: Duration,
}

/// Has `threads` threads do `work` for a tenth of a second, however they share the processors; what `iterations` on each
/// of them take at that rate.
///
/// All threads have started and done some work before it counts. So starting them does not count, nor does
/// the end, when a few of them have the processors for themselves: what is measured is many works of many threads, also if
/// one takes nanoseconds.
pub fn sustained(threads: u32, iterations: u64, work: impl Fn(u64) + Sync) -> Sustained {
    let start = Barrier::new(threads as usize);
    let run = || {
        work(1);
        start.wait();
        let (begin, processor) = (Instant::now(), Clock::Thread.now());
        let (mut done, mut batch) = (0, 1);
        while begin.elapsed() < WHILE {
            let look = Instant::now();
            work(batch);
            done += batch;
            batch *= if look.elapsed() < BETWEEN_LOOKS { 2 } else { 1 };
        }
        (begin, Instant::now(), Clock::Thread.now() - processor, done)
    };
    let runs: Vec<(Instant, Instant, Duration, u64)> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let begin = runs.iter().map(|run| run.0).min();
    let end = runs.iter().map(|run| run.1).max();
    let wall = begin.zip(end).map_or(Duration::ZERO, |(begin, end)| end - begin);
    let processor: Duration = runs.iter().map(|run| run.2).sum();
    let done: u64 = runs.iter().map(|run| run.3).sum();
    let share = (u64::from(threads) * iterations) as f64 / done as f64;
    Sustained { wall: wall.mul_f64(share), processor: processor.mul_f64(share) }
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
    fn what_threads_do_one_after_the_other_takes_as_long_as_all_of_it() {
        let turn = std::sync::Mutex::new(());
        let time = sustained(3, 5, |iterations| {
            let _turn = turn.lock().expect("no panic");
            thread::sleep(Duration::from_millis(iterations));
        });
        assert!(time.wall >= Duration::from_millis(15), "{time:?}");
        assert!(time.processor < time.wall, "{time:?}");
    }

    #[test]
    fn what_starting_threads_takes_does_not_count() {
        let time = sustained(8, 1000, |iterations| {
            std::hint::black_box((0..iterations).fold(0, |sum, at| sum ^ std::hint::black_box(at)));
        });
        assert!(time.processor < Duration::from_millis(1), "{time:?}");
    }
}
