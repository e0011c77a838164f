//! Regions that never fault: in a process whose signals have their default action from first to last.

mod common;

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use common::child::{in_child, passed};
use common::stress_time;
use seqfault_mm::{
    Access, Error, FaultKind, Image, PAGE_SIZE, PagerKind, Protection, Region, RegionOptions,
};

const MIB: usize = 1 << 20;
const SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

fn options() -> RegionOptions {
    RegionOptions::new(64 * MIB).guard(MIB).pager(PagerKind::Demand).huge_pages(false)
}

fn region(accessible: usize) -> Region {
    options().accessible(accessible).build().unwrap()
}

/// Runs `body` in a process without a handler: any fault ends it. None may have been installed afterwards.
fn without_handlers(test: &str, body: impl FnOnce()) {
    let output = in_child(test, || {
        for signo in SIGNALS {
            // SAFETY: the default action is always allowed. (The standard library has handlers of its own.)
            unsafe { libc::signal(signo, libc::SIG_DFL) };
        }
        body();
        let kept = SIGNALS.iter().all(|&signo| {
            // SAFETY: all fields of a `sigaction` may be zero.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: a null action only asks; the other is writable.
            unsafe { libc::sigaction(signo, ptr::null(), &raw mut action) };
            action.sa_sigaction == libc::SIG_DFL
        });
        if kept { 0 } else { 1 }
    });
    passed(&output);
}

fn byte(region: &Region, offset: usize) -> u8 {
    // SAFETY: inside the accessible part; nothing else uses the region.
    unsafe { region.base().wrapping_add(offset).read_volatile() }
}

fn set_byte(region: &Region, offset: usize, value: u8) {
    // SAFETY: as in `byte`.
    unsafe { region.base().wrapping_add(offset).write_volatile(value) };
}

#[test]
fn all_that_is_allowed_can_be_touched_at_any_time() {
    without_handlers("all_that_is_allowed_can_be_touched_at_any_time", || {
        let region = region(MIB);
        set_byte(&region, MIB - 1, 1);
        region.grow(8 * MIB).unwrap();
        set_byte(&region, 8 * MIB - 1, 2);
        region.discard(0..8 * MIB).unwrap();
        assert_eq!((byte(&region, MIB - 1), byte(&region, 8 * MIB - 1)), (0, 0));
        set_byte(&region, 5 * MIB, 3);
        region.protect(4 * MIB..6 * MIB, Protection::ReadOnly).unwrap();
        assert_eq!(byte(&region, 5 * MIB), 3);
        region.protect(4 * MIB..6 * MIB, Protection::NoAccess).unwrap();
        region.protect(4 * MIB..6 * MIB, Protection::ReadWrite).unwrap();
        set_byte(&region, 5 * MIB + 1, byte(&region, 5 * MIB));
        region.reset(2 * MIB).unwrap();
        set_byte(&region, 2 * MIB - 1, 4);
        region.reset(16 * MIB).unwrap();
        assert_eq!(byte(&region, 2 * MIB - 1), 0);
        set_byte(&region, 16 * MIB - 1, 5);
    });
}

#[test]
fn an_image_lies_in_pieces_of_any_protection() {
    without_handlers("an_image_lies_in_pieces_of_any_protection", || {
        let region = region(4 * MIB);
        let bytes: Vec<u8> = (0..3 * MIB).map(|n| (n / PAGE_SIZE + 1) as u8).collect();
        region.protect(MIB..2 * MIB, Protection::ReadOnly).unwrap();
        region.protect(2 * MIB..2 * MIB + PAGE_SIZE, Protection::NoAccess).unwrap();
        region.attach_image(PAGE_SIZE, &Image::new(&bytes).unwrap()).unwrap();
        for page in (1..3 * MIB / PAGE_SIZE).filter(|&page| page != 2 * MIB / PAGE_SIZE) {
            assert_eq!(byte(&region, page * PAGE_SIZE), page as u8);
        }
        set_byte(&region, 5 * PAGE_SIZE, 77);
        assert_eq!(region.write(MIB, &[1]).unwrap_err().kind, FaultKind::Protection);
        let hidden = region.read(2 * MIB, &mut [0]).unwrap_err();
        assert_eq!((hidden.kind, hidden.offset), (FaultKind::Protection, 2 * MIB));
        region.discard(0..4 * MIB).unwrap();
        region.protect(2 * MIB..2 * MIB + PAGE_SIZE, Protection::ReadOnly).unwrap();
        assert!((0..4 * MIB).step_by(PAGE_SIZE).all(|offset| byte(&region, offset) == 0));
        assert_eq!(region.write(2 * MIB, &[1]).unwrap_err().kind, FaultKind::Protection);
        set_byte(&region, 5 * PAGE_SIZE, 78);
    });
}

#[test]
fn the_host_is_told_and_not_stopped() {
    without_handlers("the_host_is_told_and_not_stopped", || {
        let (one, other) = (region(4 * MIB), region(MIB));
        one.protect(MIB..2 * MIB, Protection::ReadOnly).unwrap();
        one.protect(2 * MIB..3 * MIB, Protection::NoAccess).unwrap();
        let kind = |result: Result<(), seqfault_mm::Fault>| result.map_err(|fault| fault.kind);
        let denied = Err(FaultKind::Protection);
        let across = MIB - 4;
        assert_eq!(kind(one.read(across, &mut [0; 8])), Ok(()));
        assert_eq!(kind(one.write(across, &[0; 8])), denied);
        assert_eq!(kind(one.fill(across, 1, 8)), denied);
        assert_eq!(kind(one.read(2 * MIB - 1, &mut [0; 2])), denied);
        assert_eq!(one.load_u64(2 * MIB).unwrap_err().kind, FaultKind::Protection);
        assert_eq!(one.load_u32(3 * MIB), Ok(0));
        assert_eq!(kind(Region::copy((&other, 0), (&one, across), 100)), Ok(()));
        assert_eq!(kind(Region::copy((&one, across), (&other, 0), 100)), denied);
        assert_eq!(kind(Region::copy((&one, 0), (&one, 2 * MIB - 50), 100)), denied);
        assert_eq!(kind(Region::copy((&one, 3 * MIB), (&one, 3 * MIB + 10), 100)), Ok(()));
        assert_eq!(kind(one.fault_in(0..2 * MIB, Access::Read)), Ok(()));
        assert_eq!(kind(one.fault_in(0..2 * MIB, Access::Write)), denied);
        assert_eq!(kind(one.read(4 * MIB - 1, &mut [0; 2])), Err(FaultKind::OutOfBounds));
    });
}

#[test]
fn a_copy_is_not_overtaken_by_a_change_of_protection() {
    without_handlers("a_copy_is_not_overtaken_by_a_change_of_protection", || {
        let regions = [region(2 * MIB), region(2 * MIB)];
        let stop = AtomicBool::new(false);
        let running = || !stop.load(Ordering::Relaxed);
        thread::scope(|scope| {
            for at in [0, 1] {
                let (to, from) = (&regions[at], &regions[1 - at]);
                scope.spawn(move || {
                    while running() {
                        let _ = Region::copy((to, 0), (from, 0), MIB);
                        let _ = to.fill(MIB / 2, 3, MIB);
                        let _ = from.read(0, &mut [0; 10_000]);
                    }
                });
                scope.spawn(move || {
                    while running() {
                        for protection in
                            [Protection::NoAccess, Protection::ReadOnly, Protection::ReadWrite]
                        {
                            to.protect(MIB / 4..MIB, protection).unwrap();
                        }
                    }
                });
            }
            let start = Instant::now();
            while start.elapsed() < stress_time() / 4 {
                thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn what_is_resident_is_what_the_kernel_says() {
    let region = region(64 * MIB);
    assert_eq!(region.resident(), 0);
    for page in 0..300 {
        region.write(page * 7 * PAGE_SIZE, &[1]).unwrap();
    }
    assert_eq!(region.resident(), 300 * PAGE_SIZE);
    assert_eq!(common::rss(region.base().addr(), region.reserved()), 300 * PAGE_SIZE);
    region.discard(0..64 * MIB).unwrap();
    assert_eq!(region.resident(), 0);
}

#[test]
fn a_resident_limit_is_refused() {
    let error = options().resident_limit(Some(MIB)).build().unwrap_err();
    assert!(matches!(error, Error::Unlimited { pager: PagerKind::Demand }), "{error}");
    assert!(error.to_string().contains("take another pager"), "{error}");
}
