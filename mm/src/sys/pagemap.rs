//! What the kernel's page tables say of a range: `/proc/self/pagemap`, and its call `PAGEMAP_SCAN` (Linux 6.7).
//!
//! Source: Documentation/admin-guide/mm/pagemap.rst.

use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::OnceLock;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use super::Run;
use super::linux::at;
use crate::space::PAGE;

/// The page tables of one process. The descriptor refers to the address space of the process that opened it.
pub(crate) struct PageTables {
    file: OnceLock<Option<OwnedFd>>,
}

/// `struct pm_scan_arg`.
#[repr(C)]
struct ScanArg {
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

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    run: Run,
    categories: u64,
}

const PAGEMAP_SCAN: libc::Ioctl =
    (3 << 30 | size_of::<ScanArg>() << 16 | (b'f' as usize) << 8 | 16) as libc::Ioctl;
const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// How many runs one call tells at most.
const MOST_RUNS: usize = 32;

static ZEROES: [u8; PAGE] = [0; PAGE];

impl PageTables {
    pub(crate) const fn new() -> Self {
        Self { file: OnceLock::new() }
    }

    /// See [`Sys::changed`](super::Sys::changed).
    pub(crate) fn changed(
        &self,
        addr: usize,
        len: usize,
        private: bool,
        most: usize,
        runs: &mut [Run],
    ) -> Option<(usize, usize)> {
        let file = self.file.get_or_init(open).as_ref()?;
        let mut found = [PageRegion::default(); MOST_RUNS];
        // A page of a private mapping of a file that was never written is the file's; one of anonymous memory that was
        // never written is the zero page.
        let unwritten = if private { PAGE_IS_FILE } else { PAGE_IS_PFNZERO };
        let mut arg = ScanArg {
            size: size_of::<ScanArg>() as u64,
            flags: 0,
            start: addr as u64,
            end: (addr + len) as u64,
            walk_end: 0,
            vec: found.as_mut_ptr() as u64,
            vec_len: found.len().min(runs.len()) as u64,
            max_pages: most as u64,
            category_inverted: unwritten,
            category_mask: unwritten,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT,
        };
        // SAFETY: the kernel reads and writes `arg`, and writes at most `vec_len` regions to `found`.
        let count = unsafe { libc::ioctl(file.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
        let count = usize::try_from(count).ok()?;
        for (run, region) in runs.iter_mut().zip(&found[..count]) {
            *run = region.run;
        }
        Some((count, arg.walk_end as usize))
    }

    /// Opens the file, which a signal handler may read but not open. Whether the kernel tells.
    pub(crate) fn prepare(&self) -> bool {
        self.file.get_or_init(open).is_some()
    }

    /// See [`Sys::contents`](super::Sys::contents).
    pub(crate) fn contents(&self, addr: usize, len: usize, private: bool) -> Option<[u64; 8]> {
        /// Bits of an entry, as the documentation numbers them.
        const FILE: u64 = 1 << 61;
        const SWAPPED: u64 = 1 << 62;
        const PRESENT: u64 = 1 << 63;
        let file = self.file.get()?.as_ref()?;
        let mut entries = [0_u64; 512];
        let entries = entries.get_mut(..len / PAGE)?;
        let bytes = size_of_val(entries);
        let from = (addr / PAGE * size_of::<u64>()) as i64;
        // SAFETY: at most as many bytes as the array has are written to it.
        let read =
            unsafe { libc::pread(file.as_raw_fd(), entries.as_mut_ptr().cast(), bytes, from) };
        if usize::try_from(read) != Ok(bytes) {
            return None;
        }
        let mut bits = [0; 8];
        for (page, entry) in entries.iter().enumerate() {
            let of_the_file = private && entry & FILE != 0;
            let holds = entry & (PRESENT | SWAPPED) != 0 && !of_the_file;
            bits[page / 64] |= u64::from(holds) << (page % 64);
        }
        Some(bits)
    }
}

fn open() -> Option<OwnedFd> {
    rustix::fs::open("/proc/self/pagemap", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// See [`Sys::restore`](super::Sys::restore).
pub(super) fn restore(addr: usize, len: usize, source: Option<usize>) -> bool {
    let mut changed = false;
    for offset in (0..len).step_by(PAGE) {
        let page = at(addr + offset);
        let right =
            source.map_or((&raw const ZEROES).cast(), |source| at(source + offset).cast_const());
        // SAFETY: a page of a region that nobody else uses, which may be read and written, and the view of an image, or
        // zeroes.
        unsafe {
            if libc::memcmp(page, right, PAGE) != 0 {
                ptr::copy_nonoverlapping(right.cast::<u8>(), page.cast::<u8>(), PAGE);
                changed = true;
            }
        }
    }
    changed
}
