//! Giving much memory back does not keep other threads waiting that map or protect something. Alone in its process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use seqfault_mm::{PagerKind, Region, RegionOptions};

const SIZE: usize = 192 << 20;

/// The longest time that another thread's mapping took while `body` ran, and the time that `body` took.
fn worst_wait(body: impl FnOnce()) -> (Duration, Duration) {
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut worst = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                begun.store(true, Ordering::Relaxed);
                let start = Instant::now();
                // The reservation of a region is a mapping.
                drop(RegionOptions::new(1).build().unwrap());
                worst = worst.max(start.elapsed());
                thread::sleep(Duration::from_micros(20));
            }
            worst
        });
        while !begun.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let start = Instant::now();
        body();
        let took = start.elapsed();
        done.store(true, Ordering::Relaxed);
        (other.join().unwrap(), took)
    })
}

fn filled(pager: PagerKind) -> Region {
    let options = RegionOptions::new(SIZE).accessible(SIZE).pager(pager).huge_pages(false);
    let region = options.build().unwrap();
    region.fill(0, 1, SIZE).unwrap();
    region
}

#[test]
fn other_threads_go_on_while_a_large_region_is_dropped_or_discarded() {
    for pager in [PagerKind::Protect, PagerKind::Uffd, PagerKind::Demand] {
        if RegionOptions::new(1).pager(pager).build().is_err() {
            continue;
        }
        // A busy machine may stop either thread at any time, but hardly each time.
        let passes = |body: fn(Region)| {
            (0..6).any(|_| {
                let region = filled(pager);
                let (worst, took) = worst_wait(|| body(region));
                worst < took / 3
            })
        };
        assert!(passes(drop), "{pager:?}: dropped");
        assert!(passes(|region| region.discard(0..SIZE).unwrap()), "{pager:?}: discarded");
    }
}
