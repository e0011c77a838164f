//! A rewound region is as it was before its last user, whatever that user did. `SEQFAULT_STRESS_SECS` asks for a longer
//! search for what users left.

mod common;

use common::{Random, available, load, prepare, stress_time};
use seqfault_mm::{FaultKind, Image, PAGE_SIZE, PagerKind, Protection, Region, RegionOptions};
use std::time::Instant;

const MIB: usize = 1 << 20;
const KINDS: [PagerKind; 4] =
    [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager, PagerKind::Demand];

fn build(kind: PagerKind, accessible: usize) -> Region {
    RegionOptions::new(64 * MIB).accessible(accessible).pager(kind).build().unwrap()
}

fn all(region: &Region) -> Vec<u8> {
    let mut bytes = vec![0xee; region.accessible()];
    region.read(0, &mut bytes).unwrap();
    bytes
}

/// Whether as many pages stay as were touched one after the other, with those that a window has brought beyond: at most as many
/// again.
fn is_about(touched: usize, kept: usize) -> bool {
    (touched * PAGE_SIZE..=2 * touched * PAGE_SIZE).contains(&kept)
}

#[test]
fn what_was_written_is_gone_and_stays_in_memory_up_to_the_bound() {
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        region.fill(0, 7, 40 * PAGE_SIZE).unwrap();
        let kept = region.rewind(MIB).unwrap();
        assert!(is_about(40, kept), "{kind:?}: {kept}");
        assert!(all(&region).iter().all(|&byte| byte == 0), "{kind:?}");

        region.fill(0, 7, 40 * PAGE_SIZE).unwrap();
        let kept = region.rewind(16 * PAGE_SIZE).unwrap();
        assert!(kept <= 32 * PAGE_SIZE, "{kind:?}: {kept}");
        assert!(region.resident() <= 32 * PAGE_SIZE, "{kind:?}: {}", region.resident());
        region.fill(0, 7, 40 * PAGE_SIZE).unwrap();
        assert_eq!(region.rewind(0).unwrap(), 0);
        assert_eq!(region.resident(), 0, "{kind:?}");
        assert!(all(&region).iter().all(|&byte| byte == 0), "{kind:?}");
    }
}

#[test]
fn kept_pages_are_touched_without_a_fault() {
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        region.fill(0, 7, 40 * PAGE_SIZE).unwrap();
        region.rewind(MIB).unwrap();
        region.fill(0, 8, 40 * PAGE_SIZE).unwrap();
        let counters = region.counters();
        assert_eq!((counters.classic, counters.speculative), (0, 0), "{kind:?}");
    }
}

#[test]
fn growth_that_the_last_user_touched_is_not_opened_for_one_who_does_not() {
    for kind in [PagerKind::Protect, PagerKind::Uffd].into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        let scatter = |region: &Region| {
            for page in [0, 37, 200, 11, 141, 93, 250, 61, 171, 5] {
                region.write(page * PAGE_SIZE, &[1]).unwrap();
            }
        };
        let grow = |region: &Region, times: usize, touch: bool| {
            for _ in 0..times {
                let old = region.accessible();
                region.grow(old + 16 * PAGE_SIZE).unwrap();
                for page in [9, 2, 13].into_iter().filter(|_| touch) {
                    region.write(old + page * PAGE_SIZE, &[1]).unwrap();
                }
            }
        };
        scatter(&region);
        grow(&region, 100, true);
        region.rewind(MIB).unwrap();
        scatter(&region);
        grow(&region, 20, false);
        let faults = |region: &Region| region.counters().speculative + region.counters().classic;
        let before = faults(&region);
        region.write(region.accessible() - PAGE_SIZE, &[1]).unwrap();
        assert!(faults(&region) > before, "{kind:?}: each growth has cost a system call");
    }
}

#[test]
fn pages_that_users_do_not_change_do_not_stay_for_ever() {
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        region.fill(0, 7, 100 * PAGE_SIZE).unwrap();
        let first = region.rewind(MIB).unwrap();
        assert!(is_about(100, first), "{kind:?}: {first}");
        let mut kept = Vec::new();
        for _ in 0..40 {
            region.fill(64 * PAGE_SIZE, 7, PAGE_SIZE).unwrap();
            kept.push(region.rewind(MIB).unwrap());
        }
        assert_eq!(kept[0], first, "{kind:?}");
        let least = *kept.iter().min().unwrap();
        assert!((PAGE_SIZE..=16 * PAGE_SIZE).contains(&least), "{kind:?}: {kept:?}");
        assert!(kept[39] <= 16 * PAGE_SIZE, "{kind:?}: {kept:?}");
        // What `Eager` has committed counts, whether it is in memory or not.
        if kind != PagerKind::Eager {
            assert!(region.resident() <= 16 * PAGE_SIZE, "{kind:?}: {}", region.resident());
        }
    }
}

#[test]
fn pages_into_which_what_is_there_is_written_stay() {
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        region.fill(0, 7, 16 * PAGE_SIZE).unwrap();
        let kept = (0..31).map(|_| {
            let kept = region.rewind(MIB).unwrap();
            region.fill(0, 0, 16 * PAGE_SIZE).unwrap();
            kept
        });
        assert!(kept.into_iter().all(|kept| kept == 16 * PAGE_SIZE), "{kind:?}");
    }
}

#[test]
fn what_was_grown_is_out_of_bounds_again_and_fresh_when_it_comes_back() {
    prepare();
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        region.grow(3 * MIB).unwrap();
        region.fill(0, 7, 3 * MIB).unwrap();
        region.rewind(8 * MIB).unwrap();
        assert_eq!(region.accessible(), MIB);
        // SAFETY: inside the reservation.
        let beyond = unsafe { load(region.base().add(MIB)) };
        assert_eq!(beyond, Err(FaultKind::OutOfBounds), "{kind:?}");
        region.grow(3 * MIB).unwrap();
        assert!(all(&region).iter().all(|&byte| byte == 0), "{kind:?}");
    }
}

#[test]
fn a_region_that_reserves_as_it_grows_gives_back_what_it_grew_by() {
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let options = RegionOptions::new(64 * MIB).accessible(MIB).pager(kind);
        let mut region = options.reserve_ahead(false).build().unwrap();
        for _ in 0..3 {
            region.grow(9 * MIB).unwrap();
            region.fill(0, 7, 9 * MIB).unwrap();
            region.rewind(MIB).unwrap();
            assert_eq!(region.accessible(), MIB);
            assert!(all(&region).iter().all(|&byte| byte == 0), "{kind:?}");
        }
    }
}

#[test]
fn with_a_resident_limit_nothing_counts_for_the_next_user() {
    for kind in [PagerKind::Protect, PagerKind::Uffd].into_iter().filter(|&kind| available(kind)) {
        let options = RegionOptions::new(MIB).accessible(MIB).pager(kind);
        let mut region = options.resident_limit(Some(16 * PAGE_SIZE)).build().unwrap();
        for start in [0, MIB / 2] {
            region.fill(start, 7, 16 * PAGE_SIZE).unwrap();
            assert_eq!(region.rewind(MIB).unwrap(), 0, "{kind:?}");
            assert_eq!(region.resident(), 0, "{kind:?}");
        }
    }
}

#[test]
fn images_and_protections_come_back_also_where_they_were_taken_away() {
    let bytes: Vec<u8> = (0..20 * PAGE_SIZE).map(|n| (n / PAGE_SIZE + 1) as u8).collect();
    for kind in KINDS.into_iter().filter(|&kind| available(kind)) {
        let mut region = build(kind, MIB);
        region.attach_image(10 * PAGE_SIZE, &Image::new(&bytes).unwrap()).unwrap();
        region.protect(0..PAGE_SIZE, Protection::NoAccess).unwrap();
        region.set_pristine();
        let as_it_was = |region: &Region| {
            let mut found = vec![0; MIB - PAGE_SIZE];
            region.read(PAGE_SIZE, &mut found).unwrap();
            assert!(region.read(0, &mut [0]).is_err(), "{kind:?}");
            assert!(found[..9 * PAGE_SIZE].iter().all(|&byte| byte == 0), "{kind:?}");
            assert_eq!(found[9 * PAGE_SIZE..29 * PAGE_SIZE], bytes, "{kind:?}");
            assert!(found[29 * PAGE_SIZE..].iter().all(|&byte| byte == 0), "{kind:?}");
        };
        as_it_was(&region);
        let users: [&dyn Fn(&Region); 6] = [
            &|region| region.fill(5 * PAGE_SIZE, 9, 20 * PAGE_SIZE).unwrap(),
            &|region| region.discard(12 * PAGE_SIZE..14 * PAGE_SIZE).unwrap(),
            &|region| region.protect(0..PAGE_SIZE, Protection::ReadWrite).unwrap(),
            &|region| region.reset(2 * MIB).unwrap(),
            &|region| region.attach_image(0, &Image::new(&bytes).unwrap()).unwrap(),
            &|region| region.protect(11 * PAGE_SIZE..MIB, Protection::ReadOnly).unwrap(),
        ];
        for (number, user) in users.iter().enumerate() {
            user(&region);
            let kept = region.rewind(MIB).unwrap();
            assert_eq!(kept != 0, number == 0, "{kind:?}: user {number}");
            as_it_was(&region);
        }
    }
}

/// Does something to the region at random; writes nothing but `mark`.
fn use_at_random(region: &Region, random: &mut Random, mark: u8, image: &Image) {
    let pages = region.accessible() / PAGE_SIZE;
    let start = random.below(pages);
    let most = [3, 40, 1000][random.below(3)];
    let len = 1 + random.below(most.min(pages - start));
    let range = start * PAGE_SIZE..(start + len) * PAGE_SIZE;
    match random.below(20) {
        0..8 => drop(region.fill(range.start, mark, range.len())),
        8..12 => {
            for page in (start..pages).step_by(1 + random.below(70)).take(60) {
                let _ = region.write(page * PAGE_SIZE + random.below(PAGE_SIZE - 1), &[mark]);
            }
        }
        12 => drop(region.read(range.start, &mut vec![0; range.len()])),
        13..16 => region.grow((region.accessible() + (len * PAGE_SIZE)).min(16 * MIB)).unwrap(),
        16..18 => region.discard(range).unwrap(),
        18 if random.below(4) == 0 => {
            let to = [Protection::NoAccess, Protection::ReadOnly, Protection::ReadWrite];
            region.protect(range, to[random.below(3)]).unwrap();
        }
        19 if random.below(8) == 0 && start + image.len() / PAGE_SIZE <= pages => {
            region.attach_image(range.start, image).unwrap();
        }
        _ => {}
    }
}

#[test]
fn no_byte_of_a_former_user_is_found_after_anything_at_random() {
    prepare();
    let ours: Vec<u8> = (0..30 * PAGE_SIZE).map(|n| (n / 100) as u8 & 0x7f).collect();
    let theirs = Image::new(&[0xff; 7 * PAGE_SIZE]).unwrap();
    let kinds: Vec<_> = KINDS.into_iter().filter(|&kind| available(kind)).collect();
    let (begin, mut random) = (Instant::now(), Random::new(4711));
    while begin.elapsed() < stress_time() / 2 {
        let kind = kinds[random.below(kinds.len())];
        let mut region = build(kind, MIB);
        let place = random.below(200);
        if random.below(3) != 0 {
            region.attach_image(place * PAGE_SIZE, &Image::new(&ours).unwrap()).unwrap();
            region.set_pristine();
        }
        let first = all(&region);
        for user in 0..20 {
            for _ in 0..random.below(12) {
                use_at_random(&region, &mut random, 0x80 | user, &theirs);
            }
            region.rewind([0, MIB / 8, MIB, 64 * MIB][random.below(4)]).unwrap();
            assert!(all(&region) == first, "{kind:?}: something of user {user} is left");
            // SAFETY: inside the reservation.
            let beyond = unsafe { load(region.base().add(MIB + random.below(63 * MIB) / 8 * 8)) };
            assert_eq!(beyond, Err(FaultKind::OutOfBounds), "{kind:?}");
        }
    }
}
