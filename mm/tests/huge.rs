//! Huge pages on the real system, by its setting: asked for ahead of a sequence, given back with what is discarded.

use std::fs;

use seqfault_mm::{PAGE_SIZE, PagerKind, Region, RegionOptions};

const MIB: usize = 1 << 20;
const SIZE: usize = 64 * MIB;
/// A huge page.
const HUGE: usize = 2 * MIB;

/// The system's setting, and the one for huge pages of this size if it has its own.
fn setting() -> String {
    let chosen = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split(['[', ']']).nth(1).unwrap_or("never").to_owned()
    };
    let path = "/sys/kernel/mm/transparent_hugepage";
    let all = chosen(&format!("{path}/enabled"));
    match chosen(&format!("{path}/hugepages-2048kB/enabled")).as_str() {
        "inherit" => all,
        _ if fs::exists(format!("{path}/hugepages-2048kB")).is_ok_and(|is| !is) => all,
        own => own.to_owned(),
    }
}

/// Bytes in huge pages between two addresses.
fn in_huge_pages(start: usize, end: usize) -> usize {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    let mut sum = 0;
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some((from, to)) = first.split_once('-') {
            let at = |text| usize::from_str_radix(text, 16).unwrap();
            inside = at(from) < end && at(to) > start;
        } else if inside && first == "AnonHugePages:" {
            sum += rest.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10;
        }
    }
    sum
}

fn of(region: &Region) -> usize {
    let base = region.base().addr();
    in_huge_pages(base, base + region.reserved())
}

/// Whether the system has huge pages left.
fn has_enough() -> bool {
    let len = SIZE + HUGE;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, which is used and unmapped here only.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), len, rights, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        libc::madvise(start, len, libc::MADV_HUGEPAGE);
        start.cast::<u8>().write_bytes(1, len);
        let huge = in_huge_pages(start.addr(), start.addr() + len);
        libc::munmap(start, len);
        huge >= SIZE
    }
}

fn region(pager: PagerKind, huge_pages: bool) -> Option<Region> {
    RegionOptions::new(SIZE).accessible(SIZE).pager(pager).huge_pages(huge_pages).build().ok()
}

fn touch(region: &Region, offsets: impl Iterator<Item = usize>) {
    offsets.for_each(|offset| region.write(offset, &[1]).unwrap());
}

#[test]
fn a_dense_run_gets_huge_pages_and_a_sparse_one_after_a_discard_does_not() {
    let setting = setting();
    for pager in [PagerKind::Protect, PagerKind::Uffd] {
        let Some(small) = region(pager, false) else { continue };
        touch(&small, (0..SIZE).step_by(PAGE_SIZE));
        assert_eq!(of(&small), 0, "switched off");
        drop(small);
        for down in [false, true] {
            let region = region(pager, true).unwrap();
            let pages = (0..SIZE).step_by(PAGE_SIZE);
            if down {
                touch(&region, pages.rev())
            } else {
                touch(&region, pages)
            }
            let huge = of(&region);
            match setting.as_str() {
                // All but the stripe that has to be proven; one more may be cut off.
                "madvise" => assert!(huge >= SIZE - 2 * HUGE || !has_enough(), "{huge}"),
                "always" => assert!(huge == SIZE || !has_enough(), "{huge}"),
                _ => assert_eq!(huge, 0),
            }
            region.discard(0..SIZE).unwrap();
            touch(&region, (0..SIZE).step_by(HUGE));
            if setting != "always" {
                let most = SIZE / HUGE * PAGE_SIZE * 2 + 16 * PAGE_SIZE;
                assert!(region.resident() <= most, "{pager:?}: {}", region.resident());
            }
        }
    }
}
