//! System calls of the real system that are refused: each single one, and from each one on.
//!
//! Every operation of a region's life must answer with an error or a fault, leave a region that works, and leak neither
//! address space nor resident pages.

use super::child::in_child;
use crate::sys::{LINUX, inject};
use crate::{Access, Image, PAGE_SIZE, PagerKind, Protection, Region, RegionOptions, process};

const MIB: usize = 1 << 20;

/// A region's life, in which anything may be refused. Returns the region if it came to be.
fn live(kind: PagerKind, misled: bool, ahead: bool) -> Option<Region> {
    if misled {
        LINUX.mislead();
    }
    let options = RegionOptions::new(64 * MIB).guard(MIB).reserve_ahead(ahead);
    let region = options.accessible(4 * MIB).pager(kind).build().ok()?;
    let _ = region.fill(0, 1, MIB);
    if let Ok(image) = Image::new(&[7; 5 * PAGE_SIZE]) {
        let _ = region.attach_image(16 * PAGE_SIZE, &image);
    }
    let _ = region.read(17 * PAGE_SIZE, &mut [0; 100]);
    let _ = region.protect(0..20 * PAGE_SIZE, Protection::ReadOnly);
    let _ = region.fault_in(MIB..2 * MIB, Access::Write);
    let _ = region.discard(18 * PAGE_SIZE..3 * MIB);
    let _ = region.grow(8 * MIB);
    let _ = region.fill(2 * MIB, 2, 2 * MIB);
    let _ = region.protect(0..20 * PAGE_SIZE, Protection::ReadWrite);
    let _ = region.reset(MIB);
    Some(region)
}

/// The region does all that a region does.
fn check(region: &Region) {
    region.reset(2 * MIB).unwrap();
    assert_eq!(region.resident(), 0);
    region.fill(0, 3, 2 * MIB).unwrap();
    let mut byte = [0];
    region.read(2 * MIB - 1, &mut byte).unwrap();
    assert_eq!(byte, [3]);
    region.discard(0..2 * MIB).unwrap();
    region.read(2 * MIB - 1, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    region.discard(0..2 * MIB).unwrap();
    assert_eq!(region.resident(), 0);
}

/// Pages of address space.
fn mapped() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse().unwrap()
}

fn sweep(kind: PagerKind, ahead: bool) {
    let fresh = || RegionOptions::new(64 * MIB).accessible(2 * MIB).pager(kind).build();
    check(&fresh().unwrap());
    drop(live(kind, true, ahead));
    let before = mapped();
    for (for_good, misled) in [(false, false), (true, false), (false, true), (true, true)] {
        for nth in 0.. {
            inject::refuse(nth, for_good);
            let region = live(kind, misled, ahead);
            let refused = inject::stop();
            if let Some(region) = &region {
                check(region);
            }
            // Its end may be refused, too.
            inject::refuse(nth % 4, for_good);
            drop(region);
            inject::stop();
            // The next region works, and sees to what could not be given back.
            check(&fresh().unwrap());
            assert!(
                mapped() <= before + 64,
                "{kind:?}: address space leaks after a refusal at {nth}"
            );
            if !refused {
                assert!(nth > 10, "{kind:?}: nothing was refused");
                break;
            }
        }
    }
}

#[test]
fn every_refused_call_is_an_error_and_nothing_leaks() {
    let output = in_child("every_refused_call_is_an_error_and_nothing_leaks", || {
        for kind in [
            PagerKind::Auto,
            PagerKind::Protect,
            PagerKind::Uffd,
            PagerKind::Eager,
            PagerKind::Demand,
        ] {
            if kind.resolve(process::current().unwrap()).is_ok() {
                sweep(kind, true);
                sweep(kind, false);
            }
        }
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
