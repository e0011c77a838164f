//! Hosts that refuse: no userfaultfd, no address space, no more mappings.

mod common;

use common::child::{in_child, passed};
use common::{available, deny_userfaultfd, kill_who_calls, load, prepare, refuse_ioctl, store};
use seqfault_mm::{Error, FaultKind, GRANULE_SIZE, PAGE_SIZE, PagerKind, Region, RegionOptions};

const GIB: usize = 1 << 30;

#[test]
fn without_userfaultfd_regions_use_mprotect() {
    let output = in_child("without_userfaultfd_regions_use_mprotect", || {
        deny_userfaultfd();
        let refused = RegionOptions::new(GIB).pager(PagerKind::Uffd).build().unwrap_err();
        assert!(matches!(refused, Error::PagerUnavailable { .. }), "{refused}");
        assert_eq!(refused.errno(), Some(libc::EPERM));
        let region = RegionOptions::new(GIB).accessible(GIB).build().unwrap();
        assert_eq!(region.pager(), PagerKind::Protect);
        region.write(12345, b"works").unwrap();
        0
    });
    passed(&output);
}

#[test]
fn where_a_region_cannot_be_registered_the_automatic_pager_is_another() {
    const UFFDIO_REGISTER: u32 = 0xc020_aa00;
    let test = "where_a_region_cannot_be_registered_the_automatic_pager_is_another";
    let output = in_child(test, || {
        if !available(PagerKind::Uffd) {
            return 0;
        }
        let before = RegionOptions::new(GIB).accessible(GIB).build().unwrap();
        assert_eq!(before.pager(), PagerKind::Uffd);
        refuse_ioctl(UFFDIO_REGISTER, libc::ENOMEM);
        let size = mapped();
        for _ in 0..100 {
            let refused = RegionOptions::new(GIB).pager(PagerKind::Uffd).build().unwrap_err();
            assert!(matches!(refused, Error::System { call: "UFFDIO_REGISTER", .. }), "{refused}");
            let region = RegionOptions::new(GIB).accessible(GIB).build().unwrap();
            assert_eq!(region.pager(), PagerKind::Protect);
            region.write(12345, b"works").unwrap();
            before.write(12345, b"works").unwrap();
        }
        assert!(mapped() <= size + (1 << 20), "address space leaks");
        0
    });
    passed(&output);
}

#[test]
fn pagers_that_need_no_userfaultfd_do_not_ask_for_one() {
    let output = in_child("pagers_that_need_no_userfaultfd_do_not_ask_for_one", || {
        kill_who_calls(libc::SYS_userfaultfd);
        for kind in [PagerKind::Protect, PagerKind::Eager, PagerKind::Demand] {
            RegionOptions::new(GIB).accessible(GIB).pager(kind).build().unwrap();
        }
        0
    });
    passed(&output);
}

fn limit_address_space(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

fn mapped() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn without_address_space_a_region_is_an_error_and_nothing_leaks() {
    let output = in_child("without_address_space_a_region_is_an_error_and_nothing_leaks", || {
        // So that there is storage.
        drop(RegionOptions::new(2 * GIB).build().unwrap());
        limit_address_space(mapped() + (3 * GIB as u64));
        let before = mapped();
        for _ in 0..100 {
            let refused = RegionOptions::new(4 * GIB).build().unwrap_err();
            assert_eq!(refused.errno(), Some(libc::ENOMEM), "{refused}");
        }
        assert!(mapped() <= before + (1 << 20), "address space leaks");
        for _ in 0..100 {
            let region = RegionOptions::new(2 * GIB).accessible(GIB).build().unwrap();
            region.write(GIB - 8, b"works").unwrap();
        }
        assert!(mapped() <= before + (1 << 20), "address space leaks");
        0
    });
    passed(&output);
}

/// Touches every other granule of all of `region`: as many mappings as there can be. Returns the denials.
fn touch_sparsely(region: &Region) -> usize {
    let mut denied = 0;
    for offset in (0..region.accessible()).step_by(2 * GRANULE_SIZE) {
        let word = region.base().wrapping_add(offset);
        // SAFETY: inside the region.
        match unsafe { store(word, offset as u64) } {
            Ok(()) => {
                // SAFETY: as above.
                let value = unsafe { load(word) };
                assert_eq!(value, Ok(offset as u64));
            }
            Err(kind) => {
                assert_eq!(kind, FaultKind::OutOfMemory);
                denied += 1;
            }
        }
    }
    denied
}

#[test]
fn out_of_mappings_windows_widen_and_nobody_dies() {
    let output = in_child("out_of_mappings_windows_widen_and_nobody_dies", || {
        prepare();
        let most: usize =
            std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        if most > 200_000 {
            eprintln!("skipped: {most} mappings would take too long to use up");
            return 0;
        }
        let bytes = most * 2 * GRANULE_SIZE;
        let region = RegionOptions::new(bytes)
            .accessible(bytes)
            .pager(PagerKind::Protect)
            .demand_paging(false)
            .build()
            .unwrap();
        assert_eq!(touch_sparsely(&region), 0, "{:?}", region.counters());
        assert!(
            region.resident() > most * GRANULE_SIZE,
            "the limit was never reached: no window was widened"
        );
        // The next operations work, and everything comes back.
        region.reset(GIB).unwrap();
        assert_eq!(region.resident(), 0);
        region.write(GIB - 8, b"works").unwrap();
        drop(region);
        let again = RegionOptions::new(GIB).accessible(GIB).build().unwrap();
        again.write(0, b"works").unwrap();
        0
    });
    passed(&output);
}

#[test]
fn a_sparse_pattern_needs_no_mappings_with_uffd() {
    if !available(PagerKind::Uffd) {
        return;
    }
    prepare();
    let options = RegionOptions::new(4 * GIB).accessible(GIB / 2).pager(PagerKind::Uffd);
    // Whatever the system's setting is.
    let options = options.huge_pages(false);
    let region = options.clone().demand_paging(false).build().unwrap();
    assert_eq!(touch_sparsely(&region), 0);
    assert_eq!(region.counters().pager_refused, 0);
    // Two of each 32 pages; the first fault of a thread brings sixteen.
    let expected = GIB / 32 + 14 * PAGE_SIZE;
    assert_eq!(region.resident(), expected, "a sparse pattern inflates nothing");
    // Left to the kernel, it brings only what is touched.
    let region = options.build().unwrap();
    assert_eq!(touch_sparsely(&region), 0);
    let counters = region.counters();
    assert!(counters.opened <= 5 && counters.pages_committed <= 17, "{counters:?}");
    assert!(region.resident() <= GIB / 64 + 32 * PAGE_SIZE, "{}", region.resident());
}

#[test]
fn a_sparse_pattern_needs_few_mappings_with_protect() {
    prepare();
    let options = RegionOptions::new(GIB).accessible(GIB).pager(PagerKind::Protect);
    let region = options.huge_pages(false).build().unwrap();
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let before = mappings();
    assert_eq!(touch_sparsely(&region), 0);
    assert!(mappings() <= before + 8, "{} after {before}", mappings());
}

#[test]
fn a_size_beyond_all_address_space_is_an_error() {
    assert!(matches!(RegionOptions::new(usize::MAX).build(), Err(Error::TooLarge { .. })));
    assert!(RegionOptions::new(1 << 60).build().unwrap_err().errno().is_some());
}

/// Grows `region` by 64 KiB a time and touches the pages `touched` of each addition. Returns the faults of ours.
fn grow_and_touch(region: &Region, touched: &[usize]) -> u64 {
    for step in 0..800 {
        let old = region.accessible();
        region.grow(old + GRANULE_SIZE).unwrap();
        for page in touched {
            let word = region.base().wrapping_add(old + page * PAGE_SIZE);
            // SAFETY: inside the region.
            assert_eq!(unsafe { load(word) }, Ok(0));
            // SAFETY: as above.
            unsafe { store(word, step) }.unwrap();
        }
    }
    // What is beyond stays out of reach, also behind additions that the kernel pages.
    let beyond = region.base().wrapping_add(region.accessible());
    // SAFETY: inside the reservation.
    assert_eq!(unsafe { load(beyond) }, Err(FaultKind::OutOfBounds));
    region.counters().speculative + region.counters().classic
}

#[test]
fn growth_that_is_touched_at_once_costs_few_faults() {
    prepare();
    for kind in [PagerKind::Protect, PagerKind::Uffd] {
        if available(kind) {
            let region = RegionOptions::new(GIB).pager(kind).build().unwrap();
            let faults = grow_and_touch(&region, &[0, 5, 15]);
            assert!(faults <= 800 / 8 * 3 + 20, "{kind:?}: {:?}", region.counters());
        }
    }
}

#[test]
fn growth_that_is_never_touched_is_not_opened() {
    prepare();
    for kind in [PagerKind::Protect, PagerKind::Uffd] {
        if available(kind) {
            let options = RegionOptions::new(GIB).accessible(4 << 20).pager(kind);
            let region = options.huge_pages(false).build().unwrap();
            for page in [0, 700, 300, 1000] {
                region.write(page * PAGE_SIZE, &[1]).unwrap();
            }
            let before = region.counters();
            assert!(before.opened > 0);
            assert_eq!(grow_and_touch(&region, &[]), before.speculative + before.classic + 1);
        }
    }
}
