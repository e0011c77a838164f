//! System calls on address space: the only place that makes them.
//!
//! [`Sys`] is what the pagers need. `linux` does it; tests have a fake beside it that keeps page tables of its own and
//! can fail its n-th call. Everything in the trait is async-signal-safe.

mod linux;

pub(crate) use linux::{LINUX, Linux};

use crate::Protection;

/// A refused system call. Small and without allocation: made in signal handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SysError {
    /// Man page name of the call.
    pub(crate) call: &'static str,
    /// The error number.
    pub(crate) errno: i32,
}

/// Calls on ranges of an address space. Addresses and lengths are multiples of the page size, inside one reservation.
pub(crate) trait Sys: Sync {
    /// `mprotect`.
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError>;
    /// `madvise(MADV_DONTNEED)`: private pages are dropped.
    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError>;
    /// `mmap(MAP_FIXED)`: the range becomes fresh anonymous memory with protection `to`.
    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError>;
}

impl<T: Sys> Sys for &T {
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        (**self).protect(addr, len, to)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        (**self).zap(addr, len)
    }

    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        (**self).map_zero(addr, len, to)
    }
}
