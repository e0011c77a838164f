//! Many regions at the same time: what each takes, and that all of it comes back. Alone in its process.

use std::fs;

use seqfault_mm::{PagerKind, Region, RegionOptions, counters};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const COUNT: usize = 640;

/// Bytes of memory of this process.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 * KIB
}

/// Makes a crowd, each touched at `offsets`; returns what a region takes and what is left of them when all are gone.
fn crowd(pager: PagerKind, maximum: usize, offsets: &[usize]) -> (usize, usize) {
    let one = || -> Region {
        let options = RegionOptions::new(maximum).guard(GIB).accessible(maximum);
        // Whatever the system's setting is.
        let region = options.pager(pager).huge_pages(false).build().unwrap();
        offsets.iter().for_each(|&offset| region.write(offset, &[1]).unwrap());
        region
    };
    drop(one());
    let before = resident();
    let all: Vec<Region> = (0..COUNT).map(|_| one()).collect();
    let during = resident();
    drop(all);
    let after = resident();
    ((during - before) / COUNT, after.saturating_sub(before))
}

#[test]
fn a_region_takes_little_beyond_what_it_touches_and_leaves_nothing() {
    let committed = counters().pages_committed;
    for pager in [PagerKind::Protect, PagerKind::Uffd] {
        if RegionOptions::new(MIB).pager(pager).build().is_err() {
            continue;
        }
        // The first touch brings a granule.
        for (maximum, offsets, most) in [
            (4 * GIB, &[0][..], 72 * KIB),
            (4 * GIB, &[0, GIB, 3 * GIB], 92 * KIB),
            (64 * GIB, &[60 * GIB], 78 * KIB),
        ] {
            let (each, left) = crowd(pager, maximum, offsets);
            assert!(each <= most, "{pager:?}, {maximum:#x}: {each} bytes each");
            assert!(left <= MIB, "{pager:?}, {maximum:#x}: {left} bytes stay");
        }
    }
    // What records that are gone have counted is not forgotten.
    assert!(counters().pages_committed - committed >= 6 * (COUNT * 16) as u64);
}
