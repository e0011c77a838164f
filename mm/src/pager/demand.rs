//! `Demand`: the kernel's demand paging, and nothing beside it. What is accessible is mapped so from the grow on and
//! always stays so; the kernel brings the pages, and no access that a VMA allows ever raises a signal.
//!
//! So it needs no handler, and it is the pager for processes that can have none. Its price: a grow is a system call; the
//! kernel alone knows which pages there are, so nothing can be limited; and who runs out of memory is killed.

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
        // Only after something else has changed the mapping: it is made again what its VMA says.
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
