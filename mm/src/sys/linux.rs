//! The real system calls, through rustix (which makes them directly: `errno` is not touched).

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use rustix::thread::nanosleep;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::{ImagePart, Run, Sys, SysError, fork, may, pagemap, uffd};
use crate::space::PAGE;
use crate::{Protection, process};

/// The host's kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linux;

/// Reservations whose munmap was refused: to unmap the middle of a mapping, the kernel needs one more mapping, and may
/// have none left. They hold no memory, and are unmapped later, when the kernel can.
pub(crate) struct Parked {
    ranges: Mutex<Vec<(usize, usize)>>,
}

impl Parked {
    /// None.
    pub(crate) const fn new() -> Self {
        Self { ranges: Mutex::new(Vec::new()) }
    }

    fn ranges(&self) -> MutexGuard<'_, Vec<(usize, usize)>> {
        // Nothing panics while the list is half changed.
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address at which the next reservation is likely to fit: below the last one, or where the last one was given back.
/// Only a hint, so Relaxed: the kernel decides.
static HINT: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are given back in one call, which takes about a millisecond. Meanwhile other threads of the process wait
/// that map or protect anything.
pub(crate) const PIECE: usize = 16 << 20;

/// After a call that took so many nanoseconds, others are [given way](Sys::give_way).
const LONG: i64 = 200_000;

/// The only instance.
pub(crate) static LINUX: Linux = Linux;

/// Anonymous private memory that does not count against any limit until it is touched.
pub(super) const LAZY: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

pub(super) fn named(call: &'static str) -> impl Fn(Errno) -> SysError {
    move |errno| SysError { call, errno: errno.raw_os_error() }
}

pub(super) fn at(addr: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(addr)
}

fn mmap_flags(to: Protection) -> ProtFlags {
    ProtFlags::from_bits_retain(mprotect_flags(to).bits())
}

fn mprotect_flags(to: Protection) -> MprotectFlags {
    match to {
        Protection::NoAccess => MprotectFlags::empty(),
        Protection::ReadOnly => MprotectFlags::READ,
        Protection::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
    }
}

/// Keeps a mapping that was just made from children. It replaced a part of a reservation, of which the kernel has kept
/// all from children already; and it is a mapping of its own, so that there is nothing to split, and nothing to refuse.
fn keep_new_from_children(addr: usize, len: usize) {
    let _ = fork::keep_from_children(addr, len);
}

/// Nanoseconds of the monotonic clock. Async-signal-safe, unlike the standard library's, which may panic.
fn now() -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec * 1_000_000_000 + tv_nsec
}

impl Sys for Linux {
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        may("mprotect")?;
        // SAFETY: the range lies in a reservation of ours (the callers' contract); no Rust reference points into it.
        unsafe { rustix::mm::mprotect(at(addr), len, mprotect_flags(to)) }
            .map_err(named("mprotect"))
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        (0..len).step_by(PIECE).try_for_each(|start| {
            may("madvise")?;
            let (piece, begun) = (PIECE.min(len - start), now());
            // SAFETY: as in `protect`; the caller wants to drop guest pages.
            unsafe { rustix::mm::madvise(at(addr + start), piece, Advice::LinuxDontNeed) }
                .map_err(named("madvise"))?;
            if start + piece < len && now().saturating_sub(begun) > LONG {
                self.give_way();
            }
            Ok(())
        })
    }

    fn give_way(&self) {
        // A filter that refuses it has the others wait.
        let _ = nanosleep(&Timespec { tv_sec: 0, tv_nsec: 20_000 });
    }

    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        may("mmap")?;
        // SAFETY: MAP_FIXED replaces a range of our own reservation; no Rust reference points into it.
        unsafe {
            rustix::mm::mmap_anonymous(at(addr), len, mmap_flags(to), LAZY | MapFlags::FIXED)
        }
        .map_err(named("mmap"))?;
        keep_new_from_children(addr, len);
        Ok(())
    }

    fn map_image(
        &self,
        addr: usize,
        len: usize,
        image: ImagePart,
        to: Protection,
    ) -> Result<(), SysError> {
        may("mmap")?;
        // SAFETY: the image owns the descriptor, and its owner keeps it open while it is attached.
        let fd = unsafe { BorrowedFd::borrow_raw(image.fd) };
        let flags = LAZY | MapFlags::FIXED;
        // SAFETY: as in `map_zero`; the file is sealed, so the mapping stays what it is.
        unsafe { rustix::mm::mmap(at(addr), len, mmap_flags(to), flags, fd, image.offset as u64) }
            .map_err(named("mmap"))?;
        keep_new_from_children(addr, len);
        Ok(())
    }

    fn advise_huge(&self, addr: usize, len: usize, huge: bool) {
        let advice = if huge { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        // SAFETY: as in `protect`; contents stay. A kernel without huge pages refuses, and out of mappings it may.
        let _ = unsafe { rustix::mm::madvise(at(addr), len, advice) };
    }

    fn collapse(&self, addr: usize, len: usize) {
        /// Since Linux 6.1.
        const MADV_COLLAPSE: i32 = 25;
        // SAFETY: as in `protect`; contents stay. A kernel that has no huge page, or does not know the call, refuses.
        unsafe { libc::madvise(at(addr), len, MADV_COLLAPSE) };
    }

    fn register(&self, addr: usize, len: usize) -> Result<(), SysError> {
        uffd::register(addr, len)
    }

    fn unregister(&self, addr: usize, len: usize) -> Result<(), SysError> {
        uffd::unregister(addr, len)
    }

    fn copy(&self, addr: usize, len: usize, source: Option<usize>) -> Result<usize, SysError> {
        uffd::copy(addr, len, source)
    }

    fn changed(
        &self,
        addr: usize,
        len: usize,
        private: bool,
        most: usize,
        runs: &mut [Run],
    ) -> Option<(usize, usize)> {
        process::get()?.page_tables.changed(addr, len, private, most, runs)
    }

    fn contents(&self, addr: usize, len: usize, private: bool) -> Option<[u64; 8]> {
        process::get()?.page_tables.contents(addr, len, private)
    }

    fn restore(&self, addr: usize, len: usize, source: Option<usize>) -> bool {
        pagemap::restore(addr, len, source)
    }
}

impl Linux {
    /// Reserves `len` bytes without access, at a multiple of `align`, for this process alone.
    ///
    /// One mapping if the hint is good, as it is for reservations of multiples of `align` that come and go.
    pub(crate) fn reserve(&self, len: usize, align: usize) -> Result<usize, SysError> {
        self.retry_parked();
        let base = self.reserve_aligned(len, align)?;
        if let Err(error) = fork::keep_from_children(base, len) {
            self.release_or_park(base, len);
            return Err(error);
        }
        HINT.store(base.saturating_sub(len), Ordering::Relaxed);
        Ok(base)
    }

    fn reserve_aligned(&self, len: usize, align: usize) -> Result<usize, SysError> {
        let plain = self.reserve_near(HINT.load(Ordering::Relaxed), len)?;
        if plain.is_multiple_of(align) {
            return Ok(plain);
        }
        self.release_or_park(plain, len);
        let wide = self.reserve_near(0, len + align)?;
        let base = wide.next_multiple_of(align);
        self.release_or_park(wide, base - wide);
        self.release_or_park(base + len, align - (base - wide));
        Ok(base)
    }

    /// Makes the next reservation come out at an unaligned address, as may happen when other code maps and unmaps.
    #[cfg(test)]
    pub(crate) fn mislead(&self) {
        HINT.fetch_sub(PAGE, Ordering::Relaxed);
    }

    /// Maps `len` bytes at exactly `addr` without access, for this process alone. Nothing is replaced.
    pub(crate) fn reserve_at(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.retry_parked();
        may("mmap")?;
        let flags = LAZY | MapFlags::FIXED_NOREPLACE;
        // SAFETY: with this flag the kernel puts a new mapping only where nothing is.
        let made = unsafe { rustix::mm::mmap_anonymous(at(addr), len, ProtFlags::empty(), flags) };
        let made = made.map_err(named("mmap"))?.expose_provenance();
        let kept = match made == addr {
            true => fork::keep_from_children(addr, len),
            // A kernel before 4.17 takes the address as a hint.
            false => Err(named("mmap")(Errno::EXIST)),
        };
        if kept.is_err() {
            self.release_apart(made, len);
        }
        kept
    }

    /// Gives a reservation back, now or as soon as the kernel can.
    pub(crate) fn release_or_park(&self, addr: usize, len: usize) {
        if self.release_apart(addr, len) {
            HINT.store(addr, Ordering::Relaxed);
        }
    }

    /// The same for one at an address that is no hint for others. Whether it is given back now.
    pub(crate) fn release_apart(&self, addr: usize, len: usize) -> bool {
        let released = self.release(addr, len).is_ok();
        if !released {
            // Its memory is freed at once, and the range becomes inaccessible.
            let _ = self.zap(addr, len);
            let _ = self.protect(addr, len, Protection::NoAccess);
            // Without a list (a child that drops an image and never makes a region) the range stays, and holds nothing.
            if let Some(process) = process::get() {
                process.parked.ranges().push((addr, len));
            }
        }
        released
    }

    /// Bytes in memory of a part of a reservation; all of them if the kernel does not answer.
    pub(crate) fn resident(&self, addr: usize, len: usize) -> usize {
        let mut states = [0u8; 4096];
        let mut resident = 0;
        for start in (0..len).step_by(states.len() * PAGE) {
            let part = (len - start).min(states.len() * PAGE);
            // SAFETY: one byte a page is written to `states`, which has room for so many.
            if unsafe { libc::mincore(at(addr + start), part, states.as_mut_ptr()) } != 0 {
                return len;
            }
            // mincore(2): the other bits are undefined.
            let present = states[..part / PAGE].iter().filter(|&&state| state & 1 != 0);
            resident += present.count() * PAGE;
        }
        resident
    }

    fn retry_parked(&self) {
        if let Some(process) = process::get() {
            process.parked.ranges().retain(|&(addr, len)| self.release(addr, len).is_err());
        }
    }

    /// Reserves `len` bytes at `hint` if that is free, elsewhere if not.
    fn reserve_near(&self, hint: usize, len: usize) -> Result<usize, SysError> {
        may("mmap")?;
        // SAFETY: without MAP_FIXED the kernel puts a new mapping where nothing is, whatever the hint.
        unsafe { rustix::mm::mmap_anonymous(at(hint), len, ProtFlags::empty(), LAZY) }
            .map(|start| start.expose_provenance())
            .map_err(named("mmap"))
    }

    /// Gives a reservation, or a part of one, back.
    pub(crate) fn release(&self, addr: usize, len: usize) -> Result<(), SysError> {
        if len == 0 {
            return Ok(());
        }
        may("munmap")?;
        // SAFETY: the range was reserved by `reserve_near` and its owner gives it up.
        unsafe { rustix::mm::munmap(at(addr), len) }.map_err(named("munmap"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::inject;

    #[test]
    fn much_is_given_back_in_pieces() {
        let len = 4 * PIECE;
        let base = LINUX.reserve(len, PIECE).unwrap();
        LINUX.protect(base, len, Protection::ReadWrite).unwrap();
        for piece in (0..len).step_by(PIECE) {
            // SAFETY: inside the reservation, which nobody else knows.
            unsafe { at(base + piece).cast::<u8>().write(1) };
        }
        let pieces = || [0, 1, 2, 3].map(|piece| LINUX.resident(base + piece * PIECE, PIECE) > 0);
        inject::refuse(2, false);
        LINUX.zap(base, len).unwrap_err();
        assert!(inject::stop());
        assert_eq!(pieces(), [false, false, true, true]);
        LINUX.zap(base, len).unwrap();
        assert_eq!(pieces(), [false; 4]);
        LINUX.release(base, len).unwrap();
    }
}
