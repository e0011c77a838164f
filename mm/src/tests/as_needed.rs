//! Regions that reserve as they grow.

use super::child::in_child;
use crate::{Error, PAGE_SIZE, PagerKind, Region, RegionOptions, is_managed, process};
use std::ptr;

const MIB: usize = 1 << 20;
/// More than any process may map.
const HUGE: usize = 64 << 30;

/// Bytes of address space that this process has mapped.
fn mapped() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * PAGE_SIZE
}

/// One for each pager that this host allows.
fn kinds() -> impl Iterator<Item = PagerKind> {
    let kinds = [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager, PagerKind::Demand];
    kinds.into_iter().filter(|kind| kind.resolve(process::current().unwrap()).is_ok())
}

fn sparse(kind: PagerKind) -> Region {
    RegionOptions::new(HUGE).reserve_ahead(false).accessible(MIB).pager(kind).build().unwrap()
}

fn byte(region: &Region, at: usize) -> u8 {
    let mut byte = [0];
    region.read(at, &mut byte).unwrap();
    byte[0]
}

#[test]
fn only_what_is_accessible_is_mapped() {
    let output = in_child("only_what_is_accessible_is_mapped", || {
        for kind in kinds() {
            // Storage and an alternate stack are there from here on.
            sparse(kind).fill(0, 1, MIB).unwrap();
            let before = mapped();
            let mut region = sparse(kind);
            let base = region.base().addr();
            assert!(is_managed(base) && is_managed(base + HUGE - 1));
            region.fill(0, 1, MIB).unwrap();
            region.grow(3 * MIB).unwrap();
            region.fill(MIB, 2, 2 * MIB).unwrap();
            assert_eq!([0, MIB - 1, MIB, 3 * MIB - 1].map(|at| byte(&region, at)), [1, 1, 2, 2]);
            assert!(region.read(3 * MIB, &mut [0]).is_err());
            assert_eq!(region.reserved(), 3 * MIB);
            assert!(mapped() - before < 4 * MIB, "{kind:?}: {}", mapped() - before);
            // What a user has left is neither mapped nor readable for the next.
            region.rewind(HUGE).unwrap();
            assert_eq!((region.accessible(), region.reserved()), (MIB, MIB));
            region.grow(3 * MIB).unwrap();
            assert_eq!([0, MIB, 3 * MIB - 1].map(|at| byte(&region, at)), [0; 3]);
            region.fill(0, 3, 3 * MIB).unwrap();
            region.discard(MIB..2 * MIB).unwrap();
            assert_eq!([0, MIB, 2 * MIB].map(|at| byte(&region, at)), [3, 0, 3]);
            region.reset(2 * MIB).unwrap();
            assert_eq!((region.accessible(), region.reserved()), (2 * MIB, 2 * MIB));
            assert_eq!([0, 2 * MIB - 1].map(|at| byte(&region, at)), [0; 2]);
            assert!(matches!(region.grow(HUGE + PAGE_SIZE), Err(Error::BeyondMaximum)));
            drop(region);
            assert!(!is_managed(base));
            assert!(mapped() <= before + 64 * PAGE_SIZE, "{kind:?}: {}", mapped() - before);
        }
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn regions_keep_the_addresses_behind_them_to_themselves() {
    let regions: Vec<Region> = (0..600).map(|_| sparse(PagerKind::Demand)).collect();
    let mut bases: Vec<usize> = regions.iter().map(|region| region.base().addr()).collect();
    bases.sort_unstable();
    assert!(bases.windows(2).all(|pair| pair[0] + HUGE <= pair[1]));
}

#[test]
fn what_others_have_mapped_behind_a_region_stops_its_growth_and_stays() {
    for kind in kinds() {
        let region = sparse(kind);
        let behind = region.base().wrapping_add(2 * MIB).cast::<libc::c_void>();
        // SAFETY: nothing is mapped there, and nothing is replaced.
        let made = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            libc::mmap(behind, PAGE_SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        assert_eq!(made, behind);
        // SAFETY: mapped above.
        unsafe { behind.cast::<u8>().write(7) };
        region.grow(2 * MIB).unwrap();
        let error = region.grow(3 * MIB).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EEXIST));
        assert_eq!(region.accessible(), 2 * MIB);
        region.fill(0, 1, 2 * MIB).unwrap();
        region.reset(MIB).unwrap();
        drop(region);
        // SAFETY: mapped above, and not by the region.
        unsafe {
            assert_eq!(behind.cast::<u8>().read(), 7);
            assert_eq!(libc::munmap(behind, PAGE_SIZE), 0);
        }
    }
}

#[test]
fn a_region_that_is_reserved_ahead_is_not_placed_over_the_rest_of_another() {
    let region = sparse(PagerKind::Demand);
    let record = ptr::from_ref(region.record).cast_mut();
    // SAFETY: a record of a region that lives.
    let record = unsafe { &*record };
    assert!(!crate::registry::insert(region.base().addr() + (1 << 30), 1 << 30, record));
    assert!(is_managed(region.base().addr() + (1 << 30)));
}
