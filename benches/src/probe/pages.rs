//! How many pages of a range are resident, by the kernel's page map.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Bytes of a page.
const PAGE: u64 = 4096;
const PRESENT: u64 = 1 << 3;
const ZERO: u64 = 1 << 5;
const HUGE: u64 = 1 << 6;

/// Pages of `range` that are present and not the kernel's page of zeros. `None` before Linux 6.7.
pub(super) fn resident(range: Range<usize>) -> Option<u64> {
    count(range, PRESENT, 0, ZERO)
}

/// Pages of `range` that are parts of huge pages, and not the kernel's of zeros.
pub(super) fn huge(range: Range<usize>) -> Option<u64> {
    count(range, PRESENT, HUGE, ZERO)
}

/// The kernel's `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Run {
    start: u64,
    end: u64,
    categories: u64,
}

/// The kernel's `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;

/// Pages that are in all categories of `first` and `second`, and in none of `without`.
fn count(range: Range<usize>, first: u64, second: u64, without: u64) -> Option<u64> {
    let map = File::open("/proc/self/pagemap").ok()?;
    let mut runs = vec![Run::default(); 1024];
    let mut pages = 0;
    let mut start = range.start as u64;
    while start < range.end as u64 {
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            start,
            end: range.end as u64,
            vec: runs.as_mut_ptr().addr() as u64,
            vec_len: runs.len() as u64,
            category_inverted: without,
            category_mask: first | second | without,
            return_mask: PRESENT,
            ..Scan::default()
        };
        // SAFETY: the arguments are valid, and the vector has as many elements as they say.
        let found = unsafe { libc::ioctl(map.as_raw_fd(), PAGEMAP_SCAN, &raw mut scan) };
        let found = usize::try_from(found).ok()?;
        let found = &runs[..found];
        pages += found.iter().map(|run| (run.end - run.start) / PAGE).sum::<u64>();
        // Not `walk_end`: the kernel leaves an old value in it when it comes to the end.
        match found.last() {
            Some(last) if found.len() == runs.len() => start = last.end,
            _ => break,
        }
    }
    Some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_pages_are_counted_however_many_runs_they_make() {
        for touched in [1, 512, 1024, 1025, 3000] {
            let len = 2 * touched * PAGE as usize;
            let region = seqfault_mm::RegionOptions::new(len).accessible(len);
            let region = region.pager(seqfault_mm::PagerKind::Demand).build().expect("room");
            for at in 0..touched {
                region.write(2 * at * PAGE as usize, &[1]).expect("accessible");
                // Reading brings the kernel's page of zeros.
                region.read((2 * at + 1) * PAGE as usize, &mut [0]).expect("accessible");
            }
            let start = region.base().addr();
            assert_eq!(resident(start..start + len), Some(touched as u64));
        }
    }
}
