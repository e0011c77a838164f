//! System calls on address space: this is the only place that makes them.
//!
//! [`Sys`] is what the pagers need. `linux` implements it. Tests use a fake, which keeps page tables of its own and can
//! fail its n-th call. Everything in the trait is async-signal-safe.

mod action;
mod arena;
#[cfg(test)]
mod fake;
mod fork;
mod huge;
#[cfg(test)]
pub(crate) mod inject;
mod linux;
mod memfd;
mod pagemap;
mod uffd;

pub(crate) use action::{KernelAction, SA_RESTORER, alternate_stack, blocked_signals, signal_set};
pub(crate) use arena::{Arena, Use, Words, decommit};
#[cfg(test)]
pub(crate) use fake::{Fake, IMAGE_VALUE, IMAGE_VIEW, Tally};
pub(crate) use fork::{at_fork, close_hole, empty_in_children};
pub(crate) use huge::setting as huge_pages;
pub(crate) use linux::{LINUX, Linux, PIECE, Parked};
pub(crate) use memfd::MemFile;
pub(crate) use pagemap::PageTables;
pub(crate) use uffd::Userfault;

use crate::Protection;

/// A refused system call. Small and made without allocation, since signal handlers make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SysError {
    /// Man page name of the call.
    pub(crate) call: &'static str,
    /// The error number.
    pub(crate) errno: i32,
}

/// Called before every real call: in tests, some calls are refused.
#[inline(always)]
fn may(call: &'static str) -> Result<(), SysError> {
    #[cfg(test)]
    inject::pass(call)?;
    let _ = call;
    Ok(())
}

/// A part of an image file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImagePart {
    /// The file.
    pub(crate) fd: i32,
    /// Byte offset in it.
    pub(crate) offset: usize,
}

/// A run of pages, by its addresses; as the kernel's `struct page_region` begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first byte.
    pub(crate) start: usize,
    /// The first byte behind.
    pub(crate) end: usize,
}

/// Calls on ranges of an address space. Addresses and lengths are multiples of the page size, inside one reservation.
pub(crate) trait Sys: Sync {
    /// `mprotect`.
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError>;
    /// `madvise(MADV_DONTNEED)`: private pages are dropped, a piece at a time.
    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError>;
    /// Lets other threads go on that wait for the lock of the whole address space, between pieces of long work.
    ///
    /// Where a range is registered with userfaultfd, or the kernel is an older one, dropping pages takes that lock for
    /// reading. Work that goes on at once takes it again before a writer that waits for it has woken up; the kernel's lock lets that
    /// go on for ten milliseconds.
    ///
    /// Async-signal-safe.
    fn give_way(&self) {}
    /// `mmap(MAP_FIXED)`: the range becomes fresh anonymous memory.
    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError>;
    /// `mmap(MAP_FIXED)`: the range becomes a private mapping of an image.
    fn map_image(
        &self,
        addr: usize,
        len: usize,
        image: ImagePart,
        to: Protection,
    ) -> Result<(), SysError>;
    /// `madvise(MADV_HUGEPAGE)`, or `MADV_NOHUGEPAGE`: whether the range is to get huge pages. It need not.
    fn advise_huge(&self, addr: usize, len: usize, huge: bool);
    /// `madvise(MADV_COLLAPSE)`: makes the small pages of the range, and what is missing, huge ones at once. It need not.
    fn collapse(&self, addr: usize, len: usize);
    /// `UFFDIO_REGISTER`: missing pages of the range raise SIGBUS.
    fn register(&self, addr: usize, len: usize) -> Result<(), SysError>;
    /// `UFFDIO_UNREGISTER`: missing pages of the range come by demand paging. Parts that are not registered stay so.
    fn unregister(&self, addr: usize, len: usize) -> Result<(), SysError>;
    /// `UFFDIO_COPY`: missing pages get the bytes at `source`, or zeroes. Returns how many bytes are present now,
    /// counted from the start; pages that were already present keep their contents.
    fn copy(&self, addr: usize, len: usize, source: Option<usize>) -> Result<usize, SysError>;
    /// `PAGEMAP_SCAN`: the pages of a range that the kernel pages, lowest first, that may not hold what they held at
    /// first. With `private`, the range is a private mapping of a file. Returns how many of `runs` it has filled, and the
    /// address up to which all are told; it looks no further when it has found `most` pages. `None` if the kernel does
    /// not tell.
    fn changed(
        &self,
        addr: usize,
        len: usize,
        private: bool,
        most: usize,
        runs: &mut [Run],
    ) -> Option<(usize, usize)>;
    /// `/proc/self/pagemap`: which pages of a range, of at most 512, hold contents, in memory or swapped out, one bit each.
    /// With `private`, the range is a private mapping of a file, and only copies of the file's pages count. `None` if the
    /// kernel does not tell.
    fn contents(&self, addr: usize, len: usize, private: bool) -> Option<[u64; 8]>;
    /// No call: makes a range that may be written hold the bytes at `source`, or zeroes. Returns whether it held anything
    /// else. Pages that hold the right bytes are not written. Nobody else accesses the range.
    fn restore(&self, addr: usize, len: usize, source: Option<usize>) -> bool;
}

#[cfg(test)]
impl<T: Sys> Sys for &T {
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        (**self).protect(addr, len, to)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        (**self).zap(addr, len)
    }

    fn give_way(&self) {
        (**self).give_way();
    }

    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        (**self).map_zero(addr, len, to)
    }

    fn map_image(
        &self,
        addr: usize,
        len: usize,
        image: ImagePart,
        to: Protection,
    ) -> Result<(), SysError> {
        (**self).map_image(addr, len, image, to)
    }

    fn advise_huge(&self, addr: usize, len: usize, huge: bool) {
        (**self).advise_huge(addr, len, huge);
    }

    fn collapse(&self, addr: usize, len: usize) {
        (**self).collapse(addr, len);
    }

    fn register(&self, addr: usize, len: usize) -> Result<(), SysError> {
        (**self).register(addr, len)
    }

    fn unregister(&self, addr: usize, len: usize) -> Result<(), SysError> {
        (**self).unregister(addr, len)
    }

    fn copy(&self, addr: usize, len: usize, source: Option<usize>) -> Result<usize, SysError> {
        (**self).copy(addr, len, source)
    }

    fn changed(
        &self,
        addr: usize,
        len: usize,
        private: bool,
        most: usize,
        runs: &mut [Run],
    ) -> Option<(usize, usize)> {
        (**self).changed(addr, len, private, most, runs)
    }

    fn contents(&self, addr: usize, len: usize, private: bool) -> Option<[u64; 8]> {
        (**self).contents(addr, len, private)
    }

    fn restore(&self, addr: usize, len: usize, source: Option<usize>) -> bool {
        (**self).restore(addr, len, source)
    }
}
