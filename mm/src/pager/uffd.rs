//! `Uffd`: pages are missing in a registered range; a touch raises SIGBUS on the faulting thread, and `UFFDIO_COPY`
//! brings the window, contents and all, in one call.
//!
//! The whole reservation allows loads and stores from the start. So a grow needs no system call, and this crate checks
//! the bounds. Neither a fault nor a discard takes the kernel's address-space lock for writing. There is no monitor
//! thread: the faulting thread does the work.

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
    fn system(&self) -> &dyn Sys {
        &self.sys
    }

    fn attach(&self, addr: usize, len: usize) -> Result<(), SysError> {
        if len == 0 {
            return Ok(());
        }
        self.sys.protect(addr, len, Protection::ReadWrite)?;
        self.sys.register(addr, len)
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        // A zap that failed may have dropped some of the pages; the copy leaves the others as they are.
        let done = if commit.resident && !commit.remap {
            commit.len
        } else {
            // The kernel makes the page visible only when its contents are complete: no thread sees it half filled.
            self.sys.copy(commit.addr, commit.len, commit.source)?
        };
        if commit.resident || commit.remap {
            // If this fails, the pages are present but not counted. The space is doubtful already, so a discard does
            // not skip them, and the next copy finds them as they are.
            self.sys.protect(commit.addr, done, commit.protection)?;
        }
        Ok(done)
    }

    fn refuses_exactly(&self) -> bool {
        true
    }

    fn brings_pages(&self) -> bool {
        true
    }

    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError> {
        self.sys.protect(addr, len, to).map(|()| Mapped::Exactly)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        // The pages are missing again, and the range is still registered: the next touch faults.
        self.sys.zap(addr, len)
    }

    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.sys.zap(addr, len)
    }

    fn attach_image(&self, addr: usize, len: usize, _image: ImagePart) -> Result<(), SysError> {
        // Contents come with each commit.
        self.sys.zap(addr, len)
    }

    fn open(&self, addr: usize, len: usize, _to: Protection) -> Result<(), SysError> {
        // Closed ranges are mapped as their VMAs say already.
        self.sys.unregister(addr, len)
    }

    fn take_back(&self, addr: usize, len: usize) -> Result<Mapped, SysError> {
        self.sys.register(addr, len).map(|()| Mapped::Exactly)
    }

    fn close(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.sys.zap(addr, len)?;
        self.sys.register(addr, len)?;
        // What was touched in between is there, and nobody counts it.
        self.sys.zap(addr, len)?;
        self.sys.protect(addr, len, Protection::ReadWrite)
    }
}
