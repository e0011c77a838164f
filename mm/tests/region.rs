//! A region does what its documentation says, on the real system.

mod common;

use seqfault_mm::{
    Access, Error, FaultKind, GRANULE_SIZE, Image, PAGE_SIZE, PagerKind, Protection, Region,
    RegionOptions,
};

const MIB: usize = 1 << 20;

/// More than any test makes resident.
const LIMIT: usize = 4 << 30;

/// What a test runs with.
#[derive(Clone, Copy)]
struct Setup {
    pager: PagerKind,
    speculation: bool,
    /// With a limit nothing is left to the kernel: every page comes by a fault of ours.
    limit: Option<usize>,
}

/// Every test, once for each pager, with and without a resident limit, and all that once more without speculation.
macro_rules! suite {
    (everywhere: $everywhere:tt, limited: $limited:tt, lazily: $lazily:tt) => {
        suite!(@both Protect None, protect, protect_classic: $everywhere $lazily);
        suite!(@both Uffd None, uffd, uffd_classic: $everywhere $lazily);
        // What is committed at the grow is not there to be touched first.
        suite!(@both Eager None, eager, eager_classic: $everywhere []);
        suite!(@both Demand None, demand, demand_classic: $everywhere []);
        suite!(@both Protect (Some(LIMIT)), protect_limited, protect_limited_classic: $everywhere $limited);
        suite!(@both Uffd (Some(LIMIT)), uffd_limited, uffd_limited_classic: $everywhere $limited);
        suite!(@both Eager (Some(LIMIT)), eager_limited, eager_limited_classic: $everywhere $limited);
    };
    (@both $pager:ident $limit:tt, $on:ident, $off:ident: $tests:tt $more:tt) => {
        suite!(@one $pager $limit true, $on: $tests $more);
        suite!(@one $pager $limit false, $off: $tests $more);
    };
    (@one $pager:ident $limit:tt $speculation:literal, $module:ident: [$($test:ident)*] [$($more:ident)*]) => {
        mod $module {
            use seqfault_mm::PagerKind;
            #[allow(unused_imports, reason = "only some of the modules limit")]
            use super::LIMIT;

            const SETUP: super::Setup = super::Setup {
                pager: PagerKind::$pager,
                speculation: $speculation,
                limit: $limit,
            };
            suite!(@tests $($test)* $($more)*);
        }
    };
    (@tests $($test:ident)*) => {
        $(#[test]
        fn $test() {
            if crate::common::available(SETUP.pager) {
                super::$test(SETUP);
            }
        })*
    };
}

suite! {
    everywhere: [
        written_bytes_stay_until_they_are_discarded
        accesses_beyond_the_accessible_length_are_out_of_bounds
        a_protected_range_keeps_its_contents_and_denies_what_it_should
        overlapping_copies_move_like_memmove
        fill_sets_every_byte
        reset_gives_a_fresh_region_of_any_length
        many_regions_come_and_go
        an_image_is_copied_on_write_and_never_comes_back
        an_image_of_pieces_is_attached_in_parts
        an_image_can_be_read_only
        misuse_is_an_error
        a_word_is_loaded_at_once_or_the_fault_comes_back
        what_is_resident_is_what_is_counted
        kernel_accesses_work_after_fault_in
    ],
    limited: [
        the_resident_limit_denies_the_same_page_every_time
    ],
    lazily: [
        a_first_touch_brings_zeroes_and_is_counted
        fault_around_sets_the_size_of_windows
        what_is_missing_of_a_dense_granule_comes_with_one_fault
        a_discard_makes_room_under_the_limit
        fault_in_is_all_or_nothing
        without_speculation_everything_is_classic
    ]
}

fn region(setup: Setup, accessible: usize) -> Region {
    RegionOptions::new(4 << 30)
        .guard(4 << 30)
        .pager(setup.pager)
        .speculation(setup.speculation)
        .resident_limit(setup.limit)
        .accessible(accessible)
        .build()
        .unwrap()
}

fn byte(region: &Region, offset: usize) -> u8 {
    let mut byte = [0xee];
    region.read(offset, &mut byte).unwrap();
    byte[0]
}

fn a_first_touch_brings_zeroes_and_is_counted(setup: Setup) {
    let region = region(setup, MIB);
    assert_eq!(region.resident(), 0);
    assert_eq!(byte(&region, 12_345), 0);
    assert!((PAGE_SIZE..=GRANULE_SIZE).contains(&region.resident()));
    let counters = region.counters();
    assert_eq!(counters.pages_committed, 16);
    assert_eq!(counters.speculative + counters.classic, 1);
}

fn fault_around_sets_the_size_of_windows(setup: Setup) {
    let options = RegionOptions::new(8 * MIB).accessible(8 * MIB).pager(setup.pager);
    let options = options.speculation(setup.speculation);
    let region = options.clone().fault_around(MIB..=MIB).build().unwrap();
    region.write(5 * MIB + 5, &[1]).unwrap();
    assert_eq!(region.resident(), MIB);
    region.write(6 * MIB, &[1]).unwrap();
    assert_eq!(region.resident(), 2 * MIB, "what follows does not double");
    // Sizes are rounded up.
    let region = options.clone().fault_around(PAGE_SIZE + 1..=PAGE_SIZE + 1).build().unwrap();
    region.write(5 * MIB, &[1]).unwrap();
    assert_eq!(region.resident(), 2 * PAGE_SIZE);
    // What is not to be had becomes the nearest size that is.
    let region = options.fault_around(64 * MIB..=128 * MIB).build().unwrap();
    region.write(0, &[1]).unwrap();
    assert_eq!(region.resident(), 2 * MIB);
}

fn written_bytes_stay_until_they_are_discarded(setup: Setup) {
    let region = region(setup, 8 * MIB);
    region.write(5 * MIB - 3, b"across a page").unwrap();
    let mut bytes = [0; 13];
    region.read(5 * MIB - 3, &mut bytes).unwrap();
    assert_eq!(&bytes, b"across a page");
    region.discard(4 * MIB..6 * MIB).unwrap();
    region.read(5 * MIB - 3, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 13]);
}

fn accesses_beyond_the_accessible_length_are_out_of_bounds(setup: Setup) {
    let region = region(setup, MIB);
    let fault = region.read(MIB - 1, &mut [0; 2]).unwrap_err();
    assert_eq!((fault.kind, fault.offset), (FaultKind::OutOfBounds, MIB));
    region.grow(2 * MIB).unwrap();
    region.write(2 * MIB - 1, &[7]).unwrap();
    assert_eq!(byte(&region, 2 * MIB - 1), 7);
    assert_eq!(region.accessible(), 2 * MIB);
    assert!(matches!(region.grow(5 << 30), Err(Error::BeyondMaximum)));
}

fn a_protected_range_keeps_its_contents_and_denies_what_it_should(setup: Setup) {
    let region = region(setup, MIB);
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

fn the_resident_limit_denies_the_same_page_every_time(setup: Setup) {
    let run = || {
        let region = RegionOptions::new(64 * MIB)
            .accessible(64 * MIB)
            .pager(setup.pager)
            .speculation(setup.speculation)
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

fn a_discard_makes_room_under_the_limit(setup: Setup) {
    let region = RegionOptions::new(MIB)
        .accessible(MIB)
        .pager(setup.pager)
        .speculation(setup.speculation)
        .resident_limit(Some(64 << 10))
        .build()
        .unwrap();
    region.write(0, &[1]).unwrap();
    assert_eq!(region.write(128 << 10, &[1]).unwrap_err().kind, FaultKind::ResidentLimit);
    region.discard(0..MIB).unwrap();
    region.write(128 << 10, &[1]).unwrap();
}

fn fault_in_is_all_or_nothing(setup: Setup) {
    let region = RegionOptions::new(MIB)
        .accessible(MIB)
        .pager(setup.pager)
        .speculation(setup.speculation)
        .resident_limit(Some(128 << 10))
        .build()
        .unwrap();
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

fn overlapping_copies_move_like_memmove(setup: Setup) {
    let region = region(setup, MIB);
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

fn fill_sets_every_byte(setup: Setup) {
    let region = region(setup, MIB);
    region.fill(100, 0xab, 200_000).unwrap();
    assert_eq!(byte(&region, 99), 0);
    assert_eq!(byte(&region, 100), 0xab);
    assert_eq!(byte(&region, 200_099), 0xab);
    assert_eq!(byte(&region, 200_100), 0);
}

fn reset_gives_a_fresh_region_of_any_length(setup: Setup) {
    let region = region(setup, 4 * MIB);
    region.fill(0, 1, 4 * MIB).unwrap();
    region.protect(0..MIB, Protection::ReadOnly).unwrap();
    region.reset(2 * MIB).unwrap();
    assert_eq!((region.accessible(), region.resident()), (2 * MIB, 0));
    region.write(0, &[1]).unwrap();
    assert_eq!(byte(&region, 2 * MIB - 1), 0);
    assert_eq!(region.read(2 * MIB, &mut [0]).unwrap_err().kind, FaultKind::OutOfBounds);
    // Of any length that the region can have.
    region.reset(0).unwrap();
    assert!(matches!(region.reset((4 << 30) + PAGE_SIZE), Err(Error::BeyondMaximum)));
    region.reset(4 << 30).unwrap();
    region.write((4 << 30) - 1, &[1]).unwrap();
}

/// Touches page after page, in an order that is no sequence, where nothing is left to the kernel.
fn what_is_missing_of_a_dense_granule_comes_with_one_fault(setup: Setup) {
    let region = RegionOptions::new(MIB)
        .accessible(MIB)
        .pager(setup.pager)
        .speculation(setup.speculation)
        .fault_around(PAGE_SIZE..=MIB)
        .build()
        .unwrap();
    region.write(MIB / 2, &[1]).unwrap();
    let before = region.counters().pages_committed;
    let came = |page: usize| {
        region.write(page * PAGE_SIZE, &[1]).unwrap();
        region.counters().pages_committed - before
    };
    // Half of the granule, in an order that is no sequence.
    for (count, page) in (1..).zip([8, 12, 10, 14, 9, 13, 11, 15]) {
        assert_eq!(came(page), count, "page {page} alone");
    }
    assert_eq!(came(3), 16, "the other half");
}

fn without_speculation_everything_is_classic(setup: Setup) {
    let setup = Setup { speculation: false, ..setup };
    let region = RegionOptions::new(MIB)
        .accessible(MIB)
        .pager(setup.pager)
        .speculation(setup.speculation)
        .build()
        .unwrap();
    region.write(0, &[1]).unwrap();
    assert_eq!(region.counters().attempts, 0);
    assert_eq!(region.counters().classic, 1);
}

fn many_regions_come_and_go(setup: Setup) {
    for round in 0..2000 {
        let region = region(setup, MIB);
        assert_eq!(byte(&region, round), 0);
        region.write(round, &[1]).unwrap();
    }
}

fn an_image_is_copied_on_write_and_never_comes_back(setup: Setup) {
    let bytes: Vec<u8> = (0..10 * PAGE_SIZE + 100).map(|n| (n / PAGE_SIZE + 1) as u8).collect();
    let image = Image::new(&bytes).unwrap();
    assert_eq!(image.len(), 11 * PAGE_SIZE);
    let (one, other) = (region(setup, MIB), region(setup, MIB));
    one.write(5 * PAGE_SIZE, &[0xff; 10]).unwrap();
    one.attach_image(4 * PAGE_SIZE, &image).unwrap();
    other.attach_image(0, &image).unwrap();
    drop(image);
    // The image, up to its last byte, and zeroes behind; nothing of what was there before.
    assert_eq!(byte(&one, 4 * PAGE_SIZE - 1), 0);
    assert_eq!(byte(&one, 5 * PAGE_SIZE), 2);
    assert_eq!(byte(&one, 14 * PAGE_SIZE + 99), 11);
    assert_eq!(byte(&one, 14 * PAGE_SIZE + 100), 0);
    // Stores are private.
    one.write(6 * PAGE_SIZE, &[77]).unwrap();
    assert_eq!((byte(&one, 6 * PAGE_SIZE), byte(&other, 2 * PAGE_SIZE)), (77, 3));
    // One page out of the middle, one that was never touched, and then all.
    one.discard(6 * PAGE_SIZE..7 * PAGE_SIZE).unwrap();
    other.discard(7 * PAGE_SIZE..8 * PAGE_SIZE).unwrap();
    assert_eq!((byte(&one, 6 * PAGE_SIZE), byte(&one, 7 * PAGE_SIZE)), (0, 4));
    assert_eq!((byte(&other, 7 * PAGE_SIZE), byte(&other, 8 * PAGE_SIZE)), (0, 9));
    one.discard(0..MIB).unwrap();
    assert!((0..MIB).step_by(PAGE_SIZE).all(|offset| byte(&one, offset) == 0));
    other.reset(MIB).unwrap();
    assert!((0..MIB).step_by(PAGE_SIZE).all(|offset| byte(&other, offset) == 0));
}

fn an_image_of_pieces_is_attached_in_parts(setup: Setup) {
    let piece = |byte: u8, len: usize| vec![byte; len];
    let (low, over, high) = (piece(1, 5000), piece(2, 10), piece(3, 100));
    let pieces = [(0, &low[..]), (4090, &over), (9 * PAGE_SIZE, &high)];
    let image = Image::from_pieces(9 * PAGE_SIZE + 100, pieces).unwrap();
    assert_eq!(image.len(), 10 * PAGE_SIZE);
    let region = region(setup, MIB);
    region.write(6 * PAGE_SIZE, &[9; 2 * PAGE_SIZE]).unwrap();
    region.attach_image(6 * PAGE_SIZE, &image.part(PAGE_SIZE..2 * PAGE_SIZE).unwrap()).unwrap();
    let last = image.part(PAGE_SIZE..10 * PAGE_SIZE).unwrap();
    region.attach_image(20 * PAGE_SIZE, &last.part(8 * PAGE_SIZE..9 * PAGE_SIZE).unwrap()).unwrap();
    drop((image, last));
    let bytes = |offset: usize, len: usize| -> Vec<u8> {
        (offset..offset + len).map(|offset| byte(&region, offset)).collect()
    };
    // The second piece lies over the first, and ends in the second page.
    assert_eq!(bytes(6 * PAGE_SIZE - 1, 6), [0, 2, 2, 2, 2, 1]);
    assert_eq!(bytes(6 * PAGE_SIZE + 903, 2), [1, 0]);
    assert_eq!(bytes(7 * PAGE_SIZE - 1, 2), [0, 9], "the next page stays");
    assert_eq!(bytes(20 * PAGE_SIZE + 99, 2), [3, 0]);
}

fn an_image_can_be_read_only(setup: Setup) {
    let region = region(setup, MIB);
    region.attach_image(0, &Image::new(b"constant").unwrap()).unwrap();
    region.protect(0..PAGE_SIZE, Protection::ReadOnly).unwrap();
    assert_eq!(byte(&region, 3), b's');
    assert_eq!(region.write(3, b"x").unwrap_err().kind, FaultKind::Protection);
}

fn misuse_is_an_error(setup: Setup) {
    let region = region(setup, MIB);
    assert!(matches!(region.discard(1..PAGE_SIZE), Err(Error::Misaligned { offset: 1 })));
    assert!(matches!(region.discard(0..2 * MIB), Err(Error::OutOfRange)));
    assert!(matches!(region.protect(MIB..2 * MIB, Protection::ReadOnly), Err(Error::OutOfRange)));
    assert!(matches!(region.grow(MIB + 1), Err(Error::Misaligned { .. })));
    let image = Image::new(&[1; 2 * PAGE_SIZE]).unwrap();
    assert!(matches!(region.attach_image(MIB - PAGE_SIZE, &image), Err(Error::OutOfRange)));
    assert!(Image::new(&[]).is_err());
    assert!(matches!(image.part(1..PAGE_SIZE), Err(Error::Misaligned { offset: 1 })));
    assert!(matches!(image.part(PAGE_SIZE..PAGE_SIZE), Err(Error::OutOfRange)));
    assert!(matches!(image.part(PAGE_SIZE..3 * PAGE_SIZE), Err(Error::OutOfRange)));
    let pieces: [(usize, &[u8]); 2] = [(PAGE_SIZE - 1, &[1]), (PAGE_SIZE - 1, &[1, 2])];
    assert!(Image::from_pieces(100, pieces[..1].iter().copied()).is_ok());
    assert!(matches!(Image::from_pieces(100, pieces), Err(Error::OutOfRange)));
    region.discard(PAGE_SIZE..PAGE_SIZE).unwrap();
    // A smaller size is no error, and changes nothing.
    region.grow(PAGE_SIZE).unwrap();
    assert_eq!(region.accessible(), MIB);
}

fn what_is_resident_is_what_is_counted(setup: Setup) {
    let region = region(setup, 64 * MIB);
    let resident = || (common::rss(region.base().addr(), region.reserved()), region.resident());
    for offset in (0..64 * MIB).step_by(3 * MIB) {
        region.write(offset, &[1]).unwrap();
    }
    let (real, counted) = resident();
    assert!(real > 0 && real <= counted, "{real} of {counted}");
    region.discard(10 * MIB..50 * MIB).unwrap();
    let (real, after) = resident();
    assert!(real <= after && after < counted, "{real} of {after}");
    region.discard(0..64 * MIB).unwrap();
    assert_eq!(resident(), (0, 0));
}

fn kernel_accesses_work_after_fault_in(setup: Setup) {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    let region = region(setup, MIB);
    let (mut reader, writer) = std::io::pipe().unwrap();
    region.write(5000, b"out of a region").unwrap();
    region.fault_in(5000..5015, Access::Read).unwrap();
    // SAFETY: the range was faulted in, and nobody discards it.
    let written = unsafe { libc::write(writer.as_raw_fd(), region.base().add(5000).cast(), 15) };
    assert_eq!(written, 15);
    region.fault_in(200_000..200_006, Access::Write).unwrap();
    // SAFETY: as above.
    let got = unsafe { libc::read(reader.as_raw_fd(), region.base().add(200_000).cast(), 6) };
    assert_eq!(got, 6);
    assert_eq!(byte(&region, 200_005), b'f');
    drop(writer);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, " a region");
}

fn a_word_is_loaded_at_once_or_the_fault_comes_back(setup: Setup) {
    let region = region(setup, 1 << 16);
    region.write(8, &0x0123_4567_89ab_cdef_u64.to_le_bytes()).unwrap();
    assert_eq!(region.load_u64(8).unwrap(), 0x0123_4567_89ab_cdef);
    assert_eq!(region.load_u32(12).unwrap(), 0x0123_4567);
    assert_eq!(region.load_u64((1 << 16) - 8).unwrap(), 0);
    assert_eq!(region.load_u32(1 << 16).unwrap_err().kind, FaultKind::OutOfBounds);
    region.protect(0..PAGE_SIZE, Protection::NoAccess).unwrap();
    assert_eq!(region.load_u32(8).unwrap_err().kind, FaultKind::Protection);
    assert_eq!(region.load_u64(8).unwrap_err().kind, FaultKind::Protection);
}

#[test]
fn what_a_region_holds_is_not_taken_for_its_neighbours() {
    if !common::available(PagerKind::Uffd) {
        return;
    }
    // The second is laid out below the first. A change of protection makes the first like the guard between them.
    let options = RegionOptions::new(MIB).guard(MIB).accessible(MIB);
    let above = options.clone().pager(PagerKind::Protect).build().unwrap();
    let below = options.pager(PagerKind::Uffd).build().unwrap();
    above.write(0, &[1; MIB]).unwrap();
    above.protect(0..MIB, Protection::ReadWrite).unwrap();
    let real = |region: &Region| common::rss(region.base().addr(), region.reserved());
    assert_eq!((real(&above), real(&below)), (MIB, 0));
}
