//! `Uffd`: pages are missing in a registered range; a touch raises SIGBUS on the faulting thread, and `UFFDIO_COPY`
//! brings the window, contents and all, in one call.
//!
//! The whole reservation allows loads and stores from the start, so that a grow needs no system call, and bounds are
//! ours to check. Neither a fault nor a discard takes the kernel's address-space lock for writing. There is no
//! monitor thread: the thread that faults does the work.

use super::{Commit, Mapped, Pager};
use crate::Protection;
use crate::sys::{ImagePart, Sys, SysError};

/// The pager, over any system.
pub(crate) struct Uffd<S> {
    sys: S,
}

impl<S> Uffd<S> {
    /// Over `sys`.
    pub(crate) const fn new(sys: S) -> Self {
        Self { sys }
    }
}

impl<S: Sys> Pager for Uffd<S> {
    fn attach(&self, addr: usize, len: usize) -> Result<(), SysError> {
        if len == 0 {
            return Ok(());
        }
        self.sys.protect(addr, len, Protection::ReadWrite)?;
        self.sys.register(addr, len)
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        let done = if commit.resident {
            commit.len
        } else {
            // The kernel makes the page visible only when its contents are complete: no thread sees a half of it.
            self.sys.copy(commit.addr, commit.len, commit.source)?
        };
        if commit.resident || commit.remap {
            // Should this fail, the pages are there but not counted; the space is in doubt already, so a discard
            // leaves none out, and the next copy finds them as they are.
            self.sys.protect(commit.addr, done, commit.protection)?;
        }
        Ok(done)
    }

    fn refuses_exactly(&self) -> bool {
        true
    }

    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError> {
        self.sys.protect(addr, len, to).map(|()| Mapped::Exactly)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        // Pages are missing again, and the range is registered still: the next touch faults.
        self.sys.zap(addr, len)
    }

    fn replace(&self, addr: usize, len: usize, _to: Protection) -> Result<(), SysError> {
        self.sys.zap(addr, len)
    }

    fn attach_image(
        &self,
        addr: usize,
        len: usize,
        _image: ImagePart,
        _to: Protection,
    ) -> Result<(), SysError> {
        // Contents come with each commit.
        self.sys.zap(addr, len)
    }
}
