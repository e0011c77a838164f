//! `Eager`: pages are accessible from the grow on, and the kernel brings them; the peers' design, and our baseline.
//!
//! Technically it is `Protect` that commits at the grow. Pages that were discarded, protected or reset, or were beyond
//! the resident limit, come back by faults, so that accounting and limits stay exact.

use super::{Commit, Mapped, Pager, Protect};
use crate::Protection;
use crate::sys::{ImagePart, Sys, SysError};

/// The pager, over any system.
pub(crate) struct Eager<S> {
    inner: Protect<S>,
}

impl<S> Eager<S> {
    /// Over `sys`.
    pub(crate) const fn new(sys: S) -> Self {
        Self { inner: Protect::new(sys) }
    }
}

impl<S: Sys> Pager for Eager<S> {
    fn system(&self) -> &dyn Sys {
        self.inner.system()
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        self.inner.populate(commit)
    }

    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError> {
        self.inner.protect(addr, len, to)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.inner.zap(addr, len)
    }

    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.inner.replace(addr, len)
    }

    fn attach_image(&self, addr: usize, len: usize, image: ImagePart) -> Result<(), SysError> {
        self.inner.attach_image(addr, len, image)
    }

    fn close(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.inner.close(addr, len)
    }

    fn commits_at_grow(&self) -> bool {
        true
    }
}
