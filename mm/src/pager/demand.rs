//! `Demand`: the kernel's demand paging and nothing else. Accessible memory is open from the grow on and always stays
//! so. The kernel brings the pages, and no access that a VMA allows ever raises a signal.
//!
//! So this pager needs no handler; it is for processes that can have none. Its price: a grow is a system call, and the
//! resident size cannot be limited, since only the kernel knows which pages are present. A process that runs out of
//! memory is killed.

use super::{Commit, Mapped, Pager, Protect};
use crate::Protection;
use crate::sys::{ImagePart, Sys, SysError};

/// The pager, over any system.
pub(crate) struct Demand<S> {
    /// What is not open is as inaccessible as there.
    closed: Protect<S>,
}

impl<S> Demand<S> {
    /// Over `sys`.
    pub(crate) const fn new(sys: S) -> Self {
        Self { closed: Protect::new(sys) }
    }
}

impl<S: Sys> Pager for Demand<S> {
    fn system(&self) -> &dyn Sys {
        self.closed.system()
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        self.closed.populate(commit)
    }

    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError> {
        self.closed.protect(addr, len, to)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.closed.zap(addr, len)
    }

    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.closed.replace(addr, len)
    }

    fn attach_image(&self, addr: usize, len: usize, image: ImagePart) -> Result<(), SysError> {
        self.closed.attach_image(addr, len, image)
    }

    fn close(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.closed.close(addr, len)
    }

    fn faults(&self) -> bool {
        false
    }
}
