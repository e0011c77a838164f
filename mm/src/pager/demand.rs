//! `Demand`: the kernel's demand paging and nothing else. Accessible memory is mapped accessible by the grow and always
//! stays so. The kernel brings the pages, and no access that a VMA allows ever raises a signal.
//!
//! So this pager needs no handler; it is for processes that can have none. Its price: a grow is a system call, and the
//! resident size cannot be limited, since only the kernel knows which pages are present. A process that runs out of
//! memory is killed.

use super::{Commit, Mapped, Pager};
use crate::Protection;
use crate::sys::{ImagePart, Sys, SysError};

/// The pager, over any system.
pub(crate) struct Demand<S> {
    sys: S,
}

impl<S> Demand<S> {
    /// Over `sys`.
    pub(crate) const fn new(sys: S) -> Self {
        Self { sys }
    }
}

impl<S: Sys> Pager for Demand<S> {
    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        // Reached only after something else has changed the mapping: it is mapped again as its VMA says.
        self.sys.protect(commit.addr, commit.len, commit.protection).map(|()| commit.len)
    }

    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError> {
        self.sys.protect(addr, len, to).map(|()| Mapped::Exactly)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.sys.zap(addr, len)
    }

    fn replace(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        // One call: there is no moment at which the range is not accessible.
        self.sys.map_zero(addr, len, to)
    }

    fn attach_image(
        &self,
        addr: usize,
        len: usize,
        image: ImagePart,
        to: Protection,
    ) -> Result<(), SysError> {
        self.sys.map_image(addr, len, image, to)
    }

    fn faults(&self) -> bool {
        false
    }
}
