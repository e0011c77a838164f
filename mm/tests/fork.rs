//! What a child by `fork` may do, and what it can do to its parent: nothing.
//!
//! Each test runs in a process of its own, so that it alone decides who forks when.

mod common;

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::available;
use common::child::{in_child, passed};
use common::forked::{BOTH, Forked, How, child, start};
use seqfault_mm::{
    Access, Error, FaultKind, Image, PAGE_SIZE, PagerKind, Protection, Region, RegionOptions,
    is_managed, prepare_thread,
};

const MIB: usize = 1 << 20;
const KINDS: [PagerKind; 4] =
    [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager, PagerKind::Demand];
/// A page that the parent has written, and one that it has not.
const WRITTEN: usize = 0;
const FRESH: usize = 5 * MIB;
const MARK: &[u8] = b"the parent's";

/// Runs `body` in a process of its own, once for each pager and each way to fork.
fn each(test: &str, body: impl Fn(PagerKind, How)) {
    let output = in_child(test, || {
        for kind in KINDS {
            if available(kind) {
                BOTH.into_iter().for_each(|how| body(kind, how));
            }
        }
        0
    });
    passed(&output);
}

fn options(kind: PagerKind) -> RegionOptions {
    RegionOptions::new(64 * MIB).guard(64 * MIB).accessible(16 * MIB).pager(kind)
}

fn parents(kind: PagerKind) -> Region {
    prepare_thread().unwrap();
    let region = options(kind).build().unwrap();
    region.write(WRITTEN, MARK).unwrap();
    region
}

/// The parent's region is as it was made.
fn is_untouched(region: &Region) {
    let mut bytes = [0; MARK.len()];
    region.read(WRITTEN, &mut bytes).unwrap();
    assert_eq!(bytes, MARK);
    // Page by page, so that each is a touch of its own.
    for offset in (FRESH..FRESH + MIB).step_by(PAGE_SIZE) {
        region.read(offset, &mut bytes).unwrap();
        assert_eq!(bytes, [0; MARK.len()], "offset {offset:#x}");
    }
    region.discard(FRESH..FRESH + MIB).unwrap();
}

/// Makes regions with each pager and does all with them that can be done.
fn works_for_itself() {
    prepare_thread().unwrap();
    for kind in KINDS.into_iter().chain([PagerKind::Auto]) {
        if !available(kind) {
            continue;
        }
        let regions: Vec<Region> = (0..3).map(|_| options(kind).build().unwrap()).collect();
        let image = Image::new(&[7; 3 * PAGE_SIZE]).unwrap();
        for region in &regions {
            region.fill(FRESH, 0xcc, MIB).unwrap();
            region.attach_image(MIB, &image).unwrap();
            let mut bytes = [0; 4];
            region.read(MIB + 2 * PAGE_SIZE, &mut bytes).unwrap();
            assert_eq!(bytes, [7; 4]);
            region.protect(MIB..2 * MIB, Protection::ReadOnly).unwrap();
            assert_eq!(region.write(MIB, &[1]).unwrap_err().kind, FaultKind::Protection);
            region.discard(FRESH..FRESH + MIB).unwrap();
            assert_eq!(region.load_u64(FRESH), Ok(0));
            region.grow(32 * MIB).unwrap();
            region.fault_in(20 * MIB..21 * MIB, Access::Write).unwrap();
            // SAFETY: a touch without a check, inside the region.
            unsafe { region.base().wrapping_add(30 * MIB).write_volatile(1) };
            assert!(is_managed(region.base().addr()));
        }
        thread::scope(|scope| {
            for region in &regions {
                scope.spawn(|| region.fill(8 * MIB, 3, MIB).unwrap());
            }
        });
        assert!(regions.iter().all(|region| region.resident() >= MIB));
    }
}

fn load(addr: *mut u8) {
    // SAFETY: not safe: there is nothing, and the child is to die of it.
    unsafe { addr.read_volatile() };
}

fn store(addr: *mut u8) {
    // SAFETY: as in `load`.
    unsafe { addr.write_volatile(1) };
}

#[test]
fn a_touch_of_an_inherited_region_kills_the_child_and_leaves_the_parent_alone() {
    each(
        "a_touch_of_an_inherited_region_kills_the_child_and_leaves_the_parent_alone",
        |kind, how| {
            let region = parents(kind);
            for offset in [WRITTEN, FRESH, 17 * MIB, 64 * MIB, 127 * MIB] {
                let addr = region.base().wrapping_add(offset);
                for touch in [load, store] {
                    start(how, || touch(addr)).faults();
                    // The child is well able to do other things before.
                    start(how, || {
                        works_for_itself();
                        touch(addr);
                    })
                    .faults();
                }
            }
            is_untouched(&region);
        },
    );
}

#[test]
fn every_operation_on_an_inherited_region_is_an_error() {
    each("every_operation_on_an_inherited_region_is_an_error", |kind, how| {
        let region = parents(kind);
        let image = Image::new(&[1; 100]).unwrap();
        let refused = |own: &Region| {
            for result in [
                region.grow(20 * MIB),
                region.discard(0..MIB),
                region.reset(0),
                region.protect(0..MIB, Protection::ReadOnly),
                region.attach_image(0, &image),
            ] {
                assert!(matches!(result, Err(Error::Inherited)), "{result:?}");
            }
            let mut bytes = [0; 8];
            for result in [
                region.read(WRITTEN, &mut bytes),
                region.write(FRESH, &[1]),
                region.fill(FRESH, 1, 100),
                region.load_u32(WRITTEN).map(drop),
                region.load_u64(WRITTEN).map(drop),
                region.fault_in(0..MIB, Access::Write),
                Region::copy((own, 0), (&region, 0), 8),
                Region::copy((&region, 0), (own, 0), 8),
            ] {
                assert_eq!(result.unwrap_err().kind, FaultKind::Inherited);
            }
            assert!(!is_managed(region.base().addr()));
        };
        child(how, || {
            let own = parents(kind);
            refused(&own);
            is_untouched(&own);
        });
        is_untouched(&region);
    });
}

#[test]
fn a_child_that_drops_what_it_inherited_takes_nothing_away() {
    each("a_child_that_drops_what_it_inherited_takes_nothing_away", |kind, how| {
        let mut region = Some(parents(kind));
        let image = Image::new(&[1; 100]).unwrap();
        region.as_ref().unwrap().attach_image(MIB, &image).unwrap();
        let base = region.as_ref().unwrap().base();
        assert_eq!(region.as_ref().unwrap().reserved(), 128 * MIB);
        child(how, || {
            // First its own, which may come to lie at any address that is free; then the parent's goes.
            let own = parents(kind);
            drop(region.take());
            assert!(is_closed(base.addr()..base.addr() + 128 * MIB));
            is_untouched(&own);
            works_for_itself();
            assert!(!is_managed(base.addr()));
        });
        is_untouched(region.as_ref().unwrap());
    });
}

/// Two ends of a pipe.
fn pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    std::io::pipe().unwrap()
}

#[test]
fn what_both_make_after_the_fork_at_the_same_addresses_stays_apart() {
    each("what_both_make_after_the_fork_at_the_same_addresses_stays_apart", |kind, how| {
        let first = parents(kind);
        let (mut ready, mut made) = pipe();
        let (mut go, mut tell) = pipe();
        let running: Forked = start(how, || {
            go.read_exact(&mut [0]).unwrap();
            let regions: Vec<Region> = (0..4).map(|_| options(kind).build().unwrap()).collect();
            for region in &regions {
                region.fill(0, 0xcc, 16 * MIB).unwrap();
            }
            made.write_all(&[1]).unwrap();
            // They live until the parent has looked.
            go.read_exact(&mut [0]).unwrap();
            regions.iter().for_each(|region| assert_eq!(region.load_u32(0), Ok(0xcccc_cccc)));
        });
        let regions: Vec<Region> = (0..4).map(|_| parents(kind)).collect();
        tell.write_all(&[1]).unwrap();
        ready.read_exact(&mut [0]).unwrap();
        regions.iter().chain([&first]).for_each(is_untouched);
        for region in &regions {
            let mut bytes = vec![1; 12 * MIB];
            region.read(MIB, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
        tell.write_all(&[1]).unwrap();
        running.succeeds();
    });
}

#[test]
fn the_children_of_a_server_work_each_for_itself() {
    each("the_children_of_a_server_work_each_for_itself", |kind, how| {
        let region = parents(kind);
        let children: Vec<Forked> = (0..4).map(|_| start(how, works_for_itself)).collect();
        works_for_itself();
        children.into_iter().for_each(Forked::succeeds);
        is_untouched(&region);
    });
}

#[test]
fn a_childs_child_is_a_child() {
    each("a_childs_child_is_a_child", |kind, how| {
        let region = parents(kind);
        child(how, || {
            // One that made nothing, by either way.
            BOTH.into_iter().for_each(|how| child(how, works_for_itself));
            let own = parents(kind);
            for touched in [&region, &own] {
                let addr = touched.base().wrapping_add(FRESH);
                start(how, || store(addr)).faults();
            }
            for how in BOTH {
                child(how, || {
                    works_for_itself();
                    for inherited in [&region, &own] {
                        let result = inherited.write(0, &[1]);
                        assert_eq!(result.unwrap_err().kind, FaultKind::Inherited);
                    }
                    child(how, works_for_itself);
                });
            }
            is_untouched(&own);
        });
        is_untouched(&region);
    });
}

/// What the kernel's map of this process says of `range`: whether anything in it may be accessed, and whether it is full.
fn is_closed(range: Range<usize>) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut at = range.start;
    for line in maps.lines() {
        let (span, rest) = line.split_once(' ').unwrap();
        let (low, high) = span.split_once('-').unwrap();
        let parse = |text| usize::from_str_radix(text, 16).unwrap();
        let (low, high) = (parse(low), parse(high));
        if low <= at && at < high.min(range.end) {
            if !rest.starts_with("---") {
                return false;
            }
            at = high;
        }
    }
    at >= range.end
}

#[test]
fn nothing_comes_to_lie_where_an_inherited_region_was() {
    each("nothing_comes_to_lie_where_an_inherited_region_was", |kind, how| {
        let regions: Vec<Region> = (0..5).map(|_| parents(kind)).collect();
        let image = Image::new(&[1; 100]).unwrap();
        regions[1].attach_image(MIB, &image).unwrap();
        regions[2].protect(3 * MIB..4 * MIB, Protection::ReadOnly).unwrap();
        let closed = || {
            regions.iter().all(|region| {
                let base = region.base().addr();
                is_closed(base..base + region.reserved())
            })
        };
        child(how, || {
            // Past the C library the child finds out when it first makes something.
            if how == How::Bare {
                drop(parents(kind));
            }
            assert!(closed());
            drop(parents(kind));
            child(How::Libc, || assert!(closed()));
        });
    });
}

/// The numbers of this process's userfaultfds.
fn userfaultfds() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
    let is_one = |path| {
        std::fs::read_link(path).is_ok_and(|link| link.to_string_lossy().contains("userfaultfd"))
    };
    let ours = entries.filter(|entry| is_one(entry.path()));
    ours.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_child_has_no_descriptor_of_its_parents_memory() {
    let output = in_child("a_child_has_no_descriptor_of_its_parents_memory", || {
        if !available(PagerKind::Uffd) {
            return 0;
        }
        let region = parents(PagerKind::Uffd);
        assert_eq!(userfaultfds().len(), 1);
        child(How::Libc, || {
            assert_eq!(userfaultfds().len(), 0);
            drop(parents(PagerKind::Uffd));
            assert_eq!(userfaultfds().len(), 1);
            child(How::Libc, || assert_eq!(userfaultfds().len(), 0));
            child(How::Libc, || child(How::Libc, works_for_itself));
        });
        // A child past the library that has taken the number for something else keeps that.
        child(How::Bare, || {
            // SAFETY: closes all that the harness does not need; nobody here uses it any more.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
            let (mut reader, mut writer) = pipe();
            child(How::Libc, move || {
                writer.write_all(&[1]).unwrap();
                reader.read_exact(&mut [0]).unwrap();
                works_for_itself();
            });
        });
        is_untouched(&region);
        // The number may be the host's, if it closes what it does not know.
        let number = userfaultfds()[0];
        // SAFETY: not sound for regions in use: none is touched from here on.
        assert_eq!(unsafe { libc::dup2(2, number) }, number);
        child(How::Libc, || {
            // SAFETY: asks only.
            assert!(unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0, "a host's file was closed");
            works_for_itself();
        });
        0
    });
    passed(&output);
}

/// Faults, discards, grows, protects until told to stop; each thread in 4 MiB of its own.
fn churn(region: &Region, own: usize, stop: &AtomicBool) {
    prepare_thread().unwrap();
    let image = Image::new(&[9; 10 * PAGE_SIZE]).unwrap();
    let mut accessible = 16 * MIB;
    let start = own * 4 * MIB;
    while !stop.load(Ordering::Relaxed) {
        region.fill(start, 1, 2 * MIB).unwrap();
        region.attach_image(start + 3 * MIB, &image).unwrap();
        region.fill(start + 3 * MIB, 1, 100).unwrap();
        region.protect(start..start + MIB, Protection::ReadOnly).unwrap();
        region.protect(start..start + MIB, Protection::ReadWrite).unwrap();
        region.discard(start..start + 4 * MIB).unwrap();
        accessible = (accessible + PAGE_SIZE).min(64 * MIB);
        region.grow(accessible).unwrap();
        let short = options(region.pager()).build().unwrap();
        short.fill(0, 1, MIB).unwrap();
    }
}

#[test]
fn a_fork_in_the_middle_of_other_threads_faults_and_changes_is_as_any_other() {
    let test = "a_fork_in_the_middle_of_other_threads_faults_and_changes_is_as_any_other";
    let output = in_child(test, || {
        for kind in KINDS {
            if !available(kind) {
                continue;
            }
            let (region, stop) = (parents(kind), AtomicBool::new(false));
            thread::scope(|scope| {
                let churn = |own| churn(&region, own, &stop);
                (0..3).for_each(|own| drop(scope.spawn(move || churn(own))));
                for round in 0..25 {
                    if round % 5 == 0 {
                        start(How::Libc, || store(region.base().wrapping_add(FRESH))).faults();
                    }
                    child(How::Libc, || {
                        works_for_itself();
                        assert_eq!(region.write(0, &[1]).unwrap_err().kind, FaultKind::Inherited);
                        // SAFETY: nobody in this child uses it any more. Its lock may be held by a thread of the parent.
                        drop(unsafe { std::ptr::read(&raw const region) });
                    });
                }
                stop.store(true, Ordering::Relaxed);
            });
        }
        0
    });
    passed(&output);
}

#[test]
fn a_child_that_shares_the_address_space_is_no_other_process() {
    extern "C" fn touch(base: *mut libc::c_void) -> libc::c_int {
        // SAFETY: inside the parent's region, which lives as long as this child.
        unsafe { base.cast::<u8>().wrapping_add(FRESH).write_volatile(42) };
        0
    }
    let output = in_child("a_child_that_shares_the_address_space_is_no_other_process", || {
        for kind in [PagerKind::Protect, PagerKind::Uffd] {
            if !available(kind) {
                continue;
            }
            let region = parents(kind);
            let mut stack = vec![0u8; MIB];
            let top = stack.as_mut_ptr().wrapping_add(MIB).cast();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: this thread waits until the child, on a stack of its own, is done; the region outlives it.
            let pid = unsafe { libc::clone(touch, top, flags, region.base().cast()) };
            let mut status = -1;
            // SAFETY: the status is writable.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!((status, region.load_u32(FRESH)), (0, Ok(42)));
            region.write(FRESH, &[0]).unwrap();
            assert!(std::process::Command::new("true").status().unwrap().success());
            is_untouched(&region);
        }
        0
    });
    passed(&output);
}

#[test]
fn a_kernel_that_does_not_empty_pages_for_children_is_helped() {
    let output = in_child("a_kernel_that_does_not_empty_pages_for_children_is_helped", || {
        common::refuse_madvise(libc::MADV_WIPEONFORK, libc::EINVAL);
        for kind in [PagerKind::Protect, PagerKind::Uffd] {
            if !available(kind) {
                continue;
            }
            let region = parents(kind);
            child(How::Libc, || {
                assert_eq!(region.write(0, &[1]).unwrap_err().kind, FaultKind::Inherited);
                works_for_itself();
                child(How::Libc, works_for_itself);
            });
            start(How::Libc, || store(region.base().wrapping_add(FRESH))).faults();
            is_untouched(&region);
        }
        0
    });
    passed(&output);
}

#[test]
fn where_mappings_cannot_be_kept_from_children_there_are_no_regions() {
    let test = "where_mappings_cannot_be_kept_from_children_there_are_no_regions";
    let output = in_child(test, || {
        common::refuse_madvise(libc::MADV_DONTFORK, libc::ENOMEM);
        let refused = options(PagerKind::Auto).build().unwrap_err();
        assert!(matches!(refused, Error::System { call: "madvise", .. }), "{refused}");
        0
    });
    passed(&output);
}
