//! A thread that takes long to bring a page: others that touch the page wait, and then have it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::child::in_child;
use crate::sys::inject;
use crate::{PagerKind, Region, RegionOptions, prepare_thread};

/// Longer than a thread used to try: 2^17 rounds take about a second.
const LONG: Duration = Duration::from_secs(3);

/// The processor time that the thread spends in `body`.
fn busy(body: impl FnOnce()) -> Duration {
    let now = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is writable.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
    };
    let start = now();
    body();
    now() - start
}

/// One thread stops while it brings the first page; two more want that page, and one wants another page.
fn wait_for_a_slow_one(region: &Region) {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    static END: AtomicBool = AtomicBool::new(false);
    BEGUN.store(false, Ordering::Relaxed);
    END.store(false, Ordering::Relaxed);
    let first = || region.base().cast::<u64>();
    thread::scope(|scope| {
        scope.spawn(|| {
            prepare_thread().unwrap();
            inject::stall(&BEGUN, &END);
            // SAFETY: inside the region.
            unsafe { first().write_volatile(7) };
            assert!(inject::stop(), "no call was made");
        });
        while !BEGUN.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let others = [1, 2].map(|_| {
            scope.spawn(|| {
                prepare_thread().unwrap();
                // SAFETY: as above; a plain load, not one of our copies, which could report an error.
                let spent = busy(|| assert!([0, 7].contains(&unsafe { first().read_volatile() })));
                assert!(spent < LONG / 2, "a thread that waits is busy for {spent:?}");
            })
        });
        let start = Instant::now();
        // Another stripe: nothing is in its way, unless every fault takes the lock.
        if crate::speculates() {
            region.write(8 << 20, &[1]).unwrap();
            assert!(start.elapsed() < LONG);
        }
        thread::sleep(LONG);
        assert!(
            others.iter().all(|other| !other.is_finished()),
            "a page that is not there yet was read"
        );
        END.store(true, Ordering::Release);
    });
    assert_eq!(region.load_u64(0), Ok(7));
}

#[test]
fn a_page_that_another_thread_takes_long_to_bring_is_waited_for() {
    let output = in_child("a_page_that_another_thread_takes_long_to_bring_is_waited_for", || {
        for kind in [PagerKind::Protect, PagerKind::Uffd] {
            let options =
                RegionOptions::new(64 << 20).huge_pages(false).accessible(64 << 20).pager(kind);
            if let Ok(region) = options.build() {
                wait_for_a_slow_one(&region);
            }
        }
    });
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
