//! `Protect`: pages are inaccessible until touched, and `mprotect` makes them present.
//!
//! It works wherever `mmap` does. Its price: `mprotect` takes the kernel's address-space lock for writing, and a sparse
//! pattern splits the kernel's mappings.

use super::{Commit, Mapped, Pager};
use crate::Protection;
use crate::sys::{ImagePart, Sys, SysError};

/// A range of at least this size is emptied before it is made inaccessible, so that the kernel holds its lock for
/// writing only over page tables that are already empty.
const LARGE: usize = 256 << 10;

/// The pager, over any system.
pub(crate) struct Protect<S> {
    sys: S,
}

impl<S> Protect<S> {
    /// Over `sys`.
    pub(crate) const fn new(sys: S) -> Self {
        Self { sys }
    }
}

impl<S: Sys> Pager for Protect<S> {
    fn system(&self) -> &dyn Sys {
        &self.sys
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        // The mapping itself has the contents, zeroes or image: the kernel brings them when the page is used.
        self.sys.protect(commit.addr, commit.len, commit.protection).map(|()| commit.len)
    }

    fn protect(&self, addr: usize, len: usize, _to: Protection) -> Result<Mapped, SysError> {
        // One call that makes as few mappings as possible, whatever mixture of pages is inside. Faults give back the
        // accesses that the new protection allows.
        self.sys.protect(addr, len, Protection::NoAccess).map(|()| Mapped::NotAtAll)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        if len >= LARGE {
            self.sys.zap(addr, len)?;
        }
        // After this no thread can write any more, so the pages dropped next (few, if they were dropped above) stay
        // dropped.
        self.sys.protect(addr, len, Protection::NoAccess)?;
        self.sys.zap(addr, len)
    }

    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.sys.map_zero(addr, len, Protection::NoAccess)
    }

    fn attach_image(&self, addr: usize, len: usize, image: ImagePart) -> Result<(), SysError> {
        self.sys.map_image(addr, len, image, Protection::NoAccess)
    }

    fn close(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.zap(addr, len)
    }
}
