//! Copies that fault: pages come in the middle of them, and what is denied stops them where it is.

mod common;

use common::{Random, available};
use seqfault_mm::{FaultKind, PAGE_SIZE, PagerKind, Protection, Region, RegionOptions};

const PAGERS: [PagerKind; 4] =
    [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager, PagerKind::Demand];
const PAGES: usize = 24;
const BYTES: usize = PAGES * PAGE_SIZE;

fn regions() -> impl Iterator<Item = Region> {
    let build = |pager| RegionOptions::new(BYTES).accessible(BYTES).pager(pager).build().unwrap();
    PAGERS.into_iter().filter(|&pager| available(pager)).map(build)
}

/// Does something random to the region and to its model.
fn step(random: &mut Random, region: &Region, model: &mut [u8]) {
    let longest = [70, 700, BYTES / 2][random.below(3)];
    let len = random.below(longest);
    let src = random.below(BYTES - len);
    let dst = match random.below(3) {
        0 => random.below(BYTES - len),
        1 => (src + random.below(300)).min(BYTES - len),
        _ => src.saturating_sub(random.below(300)),
    };
    match random.below(5) {
        0 => {
            let page = random.below(PAGES);
            let range = page * PAGE_SIZE..(page + random.below(PAGES - page)) * PAGE_SIZE;
            region.discard(range.clone()).unwrap();
            model[range].fill(0);
        }
        1 => {
            let byte = random.below(256) as u8;
            region.fill(dst, byte, len).unwrap();
            model[dst..dst + len].fill(byte);
        }
        _ => {
            Region::copy((region, dst), (region, src), len).unwrap();
            model.copy_within(src..src + len, dst);
        }
    }
}

#[test]
fn what_comes_in_the_middle_of_a_copy_is_copied() {
    for region in regions() {
        let mut random = Random::new(11);
        for _ in 0..100 {
            region.reset(BYTES).unwrap();
            let mut model = vec![0; BYTES];
            // Something to copy, with pages that are not there in between.
            for at in (0..BYTES).step_by(3 * PAGE_SIZE) {
                let bytes = random.below(usize::MAX).to_le_bytes();
                region.write(at, &bytes).unwrap();
                model[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            for _ in 0..20 {
                step(&mut random, &region, &mut model);
            }
            let mut found = vec![0; BYTES];
            region.read(0, &mut found).unwrap();
            assert!(found == model, "{:?}", region.pager());
        }
    }
}

#[test]
fn what_is_denied_stops_a_copy_and_is_named() {
    for region in regions() {
        let pager = region.pager();
        let closed = 10 * PAGE_SIZE..11 * PAGE_SIZE;
        region.fill(0, 7, BYTES).unwrap();
        region.protect(closed.clone(), Protection::ReadOnly).unwrap();
        for len in [1, 9, 40, 100, 200, 300, 1000, 3 * PAGE_SIZE] {
            // The range ends in the page, begins in it, or goes over all of it.
            for start in [closed.start + 1 - len, closed.end - 1, closed.start - len / 2] {
                if start + len <= closed.start || start >= closed.end {
                    continue;
                }
                let filled = region.fill(start, 1, len).unwrap_err();
                let copied = Region::copy((&region, start), (&region, 0), len).unwrap_err();
                for fault in [filled, copied] {
                    assert_eq!(fault.kind, FaultKind::Protection, "{pager:?} {len}");
                    assert!(closed.contains(&fault.offset), "{pager:?} {len} {fault:?}");
                }
            }
        }
        let mut byte = [0];
        region.read(closed.start, &mut byte).unwrap();
        assert_eq!(byte, [7]);
    }
}
