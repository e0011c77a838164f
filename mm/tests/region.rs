//! A region does what its documentation says, on the real system.

use seqfault_mm::{
    Access, Error, FaultKind, GRANULE_SIZE, PAGE_SIZE, Protection, Region, RegionOptions,
};

const MIB: usize = 1 << 20;

fn region(accessible: usize) -> Region {
    RegionOptions::new(4 << 30).guard(4 << 30).accessible(accessible).build().unwrap()
}

fn byte(region: &Region, offset: usize) -> u8 {
    let mut byte = [0xee];
    region.read(offset, &mut byte).unwrap();
    byte[0]
}

#[test]
fn a_first_touch_brings_zeroes_and_is_counted() {
    let region = region(MIB);
    assert_eq!(region.resident(), 0);
    assert_eq!(byte(&region, 12_345), 0);
    assert_eq!(region.resident(), GRANULE_SIZE);
    let counters = region.counters();
    assert_eq!(counters.pages_committed, 16);
    assert_eq!(counters.speculative + counters.classic, 1);
}

#[test]
fn written_bytes_stay_until_they_are_discarded() {
    let region = region(8 * MIB);
    region.write(5 * MIB - 3, b"across a page").unwrap();
    let mut bytes = [0; 13];
    region.read(5 * MIB - 3, &mut bytes).unwrap();
    assert_eq!(&bytes, b"across a page");
    region.discard(4 * MIB..6 * MIB).unwrap();
    region.read(5 * MIB - 3, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 13]);
}

#[test]
fn accesses_beyond_the_accessible_length_are_out_of_bounds() {
    let region = region(MIB);
    let fault = region.read(MIB - 1, &mut [0; 2]).unwrap_err();
    assert_eq!((fault.kind, fault.offset), (FaultKind::OutOfBounds, MIB));
    region.grow(2 * MIB).unwrap();
    region.write(2 * MIB - 1, &[7]).unwrap();
    assert_eq!(byte(&region, 2 * MIB - 1), 7);
    assert_eq!(region.accessible(), 2 * MIB);
    assert!(matches!(region.grow(5 << 30), Err(Error::BeyondMaximum)));
}

#[test]
fn a_protected_range_keeps_its_contents_and_denies_what_it_should() {
    let region = region(MIB);
    region.write(3 * PAGE_SIZE, &[1, 2, 3]).unwrap();
    region.protect(3 * PAGE_SIZE..4 * PAGE_SIZE, Protection::ReadOnly).unwrap();
    assert_eq!(byte(&region, 3 * PAGE_SIZE + 1), 2);
    let fault = region.write(3 * PAGE_SIZE, &[9]).unwrap_err();
    assert_eq!((fault.kind, fault.offset), (FaultKind::Protection, 3 * PAGE_SIZE));
    region.write(2 * PAGE_SIZE, &[9]).unwrap();
    region.protect(0..MIB, Protection::NoAccess).unwrap();
    assert_eq!(region.read(0, &mut [0]).unwrap_err().kind, FaultKind::Protection);
    region.protect(0..MIB, Protection::ReadWrite).unwrap();
    assert_eq!(byte(&region, 3 * PAGE_SIZE + 2), 3);
    assert_eq!(byte(&region, 2 * PAGE_SIZE), 9);
}

#[test]
fn the_resident_limit_denies_the_same_page_every_time() {
    let run = || {
        let region = RegionOptions::new(64 * MIB)
            .accessible(64 * MIB)
            .resident_limit(Some(3 * MIB + 5 * PAGE_SIZE))
            .build()
            .unwrap();
        let mut page = 0;
        let fault = loop {
            match region.write(page * PAGE_SIZE, &[1]) {
                Ok(()) => page += 1,
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.kind, FaultKind::ResidentLimit);
        assert!(region.resident() <= 3 * MIB + 5 * PAGE_SIZE);
        page
    };
    assert_eq!(run(), 768 + 5);
    assert_eq!(run(), 768 + 5);
}

#[test]
fn a_discard_makes_room_under_the_limit() {
    let region =
        RegionOptions::new(MIB).accessible(MIB).resident_limit(Some(64 << 10)).build().unwrap();
    region.write(0, &[1]).unwrap();
    assert_eq!(region.write(128 << 10, &[1]).unwrap_err().kind, FaultKind::ResidentLimit);
    region.discard(0..MIB).unwrap();
    region.write(128 << 10, &[1]).unwrap();
}

#[test]
fn fault_in_is_all_or_nothing() {
    let region =
        RegionOptions::new(MIB).accessible(MIB).resident_limit(Some(128 << 10)).build().unwrap();
    let fault = region.fault_in(0..256 << 10, Access::Write).unwrap_err();
    assert_eq!(fault.kind, FaultKind::ResidentLimit);
    assert_eq!(region.resident(), 0);
    region.fault_in(100..70_000, Access::Write).unwrap();
    assert_eq!(region.resident(), 18 * PAGE_SIZE);
    let before = region.counters();
    region.write(100, &[1; 60_000]).unwrap();
    assert_eq!(region.counters(), before);
    assert_eq!(
        region.fault_in(MIB - 1..MIB + 1, Access::Read).unwrap_err().kind,
        FaultKind::OutOfBounds
    );
}

#[test]
fn overlapping_copies_move_like_memmove() {
    let region = region(MIB);
    let bytes: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
    for (from, to) in [(1000, 1003), (1003, 1000), (1000, 1000), (1000, 9000)] {
        for len in [0, 1, 7, 8, 9, 100, 511, 512, 513, 5000] {
            region.write(from, &bytes).unwrap();
            let mut expected = vec![0; 20_000];
            region.read(0, &mut expected).unwrap();
            expected.copy_within(from..from + len, to);
            Region::copy((&region, to), (&region, from), len).unwrap();
            let mut actual = vec![0; 20_000];
            region.read(0, &mut actual).unwrap();
            assert!(actual == expected, "{from} -> {to}, {len} bytes");
        }
    }
}

#[test]
fn fill_sets_every_byte() {
    let region = region(MIB);
    region.fill(100, 0xab, 200_000).unwrap();
    assert_eq!(byte(&region, 99), 0);
    assert_eq!(byte(&region, 100), 0xab);
    assert_eq!(byte(&region, 200_099), 0xab);
    assert_eq!(byte(&region, 200_100), 0);
}

#[test]
fn reset_gives_a_fresh_region_of_any_length() {
    let region = region(4 * MIB);
    region.fill(0, 1, 4 * MIB).unwrap();
    region.protect(0..MIB, Protection::ReadOnly).unwrap();
    region.reset(2 * MIB).unwrap();
    assert_eq!((region.accessible(), region.resident()), (2 * MIB, 0));
    region.write(0, &[1]).unwrap();
    assert_eq!(byte(&region, 2 * MIB - 1), 0);
    assert_eq!(region.read(2 * MIB, &mut [0]).unwrap_err().kind, FaultKind::OutOfBounds);
}

#[test]
fn without_speculation_everything_is_classic() {
    let region = RegionOptions::new(MIB).accessible(MIB).speculation(false).build().unwrap();
    region.write(0, &[1]).unwrap();
    assert_eq!(region.counters().attempts, 0);
    assert_eq!(region.counters().classic, 1);
}

#[test]
fn many_regions_come_and_go() {
    for round in 0..2000 {
        let region = region(MIB);
        assert_eq!(byte(&region, round), 0);
        region.write(round, &[1]).unwrap();
    }
}
