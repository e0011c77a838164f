//! The real system calls, through rustix (which makes them directly: `errno` is not touched).

use std::ffi::c_void;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use super::{Sys, SysError};
use crate::Protection;

/// The host's kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linux;

/// The one of its kind.
pub(crate) static LINUX: Linux = Linux;

/// Anonymous private memory that counts against nothing until it is touched.
const LAZY: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

fn named(call: &'static str) -> impl Fn(Errno) -> SysError {
    move |errno| SysError { call, errno: errno.raw_os_error() }
}

fn at(addr: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(addr)
}

fn mprotect_flags(to: Protection) -> MprotectFlags {
    match to {
        Protection::NoAccess => MprotectFlags::empty(),
        Protection::ReadOnly => MprotectFlags::READ,
        Protection::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
    }
}

impl Sys for Linux {
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        // SAFETY: the range lies in a reservation of ours (the callers' contract); no Rust reference points into it.
        unsafe { rustix::mm::mprotect(at(addr), len, mprotect_flags(to)) }
            .map_err(named("mprotect"))
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        // SAFETY: as in `protect`; dropping guest pages is what the caller wants.
        unsafe { rustix::mm::madvise(at(addr), len, Advice::LinuxDontNeed) }
            .map_err(named("madvise"))
    }

    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        let prot = ProtFlags::from_bits_retain(mprotect_flags(to).bits());
        // SAFETY: MAP_FIXED replaces a range of our own reservation; no Rust reference points into it.
        unsafe { rustix::mm::mmap_anonymous(at(addr), len, prot, LAZY | MapFlags::FIXED) }
            .map(drop)
            .map_err(named("mmap"))
    }
}

impl Linux {
    /// Reserves `len` bytes without access, at a multiple of `align`.
    ///
    /// Reservations whose sizes are multiples of `align` pack: the kernel puts one beside the other, so after the
    /// first the plain `mmap` is aligned already.
    pub(crate) fn reserve(&self, len: usize, align: usize) -> Result<usize, SysError> {
        let plain = self.reserve_anywhere(len)?;
        if plain.is_multiple_of(align) {
            return Ok(plain);
        }
        self.release(plain, len)?;
        let wide = self.reserve_anywhere(len + align)?;
        let base = wide.next_multiple_of(align);
        let (head, tail) = (base - wide, align - (base - wide));
        let trimmed = self.release(wide, head).and_then(|()| self.release(base + len, tail));
        if let Err(error) = trimmed {
            // Nothing was handed out yet: whatever part is still mapped goes, or stays unused.
            let _ = self.release(wide, len + align);
            return Err(error);
        }
        Ok(base)
    }

    fn reserve_anywhere(&self, len: usize) -> Result<usize, SysError> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours.
        unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), LAZY) }
            .map(|start| start.expose_provenance())
            .map_err(named("mmap"))
    }

    /// Gives a reservation, or a part of one, back.
    pub(crate) fn release(&self, addr: usize, len: usize) -> Result<(), SysError> {
        if len == 0 {
            return Ok(());
        }
        // SAFETY: the range was reserved by `reserve_anywhere` and its owner gives it up.
        unsafe { rustix::mm::munmap(at(addr), len) }.map_err(named("munmap"))
    }
}
