//! Pagers: how pages are made present and absent.
//!
//! The core says *what* (these pages, this protection, these contents), a [`Pager`] says *how*. `populate` is
//! async-signal-safe: no allocation, no lock, no panic.
//!
//! | | untouched page | touch raises | made present by | made absent by |
//! |---|---|---|---|---|
//! | [`Protect`] | `PROT_NONE` | SIGSEGV | `mprotect` | `madvise` + `mprotect` |
//! | [`Uffd`] | missing, registered | SIGBUS | `UFFDIO_COPY` | `madvise` |
//! | [`Eager`] | present since the grow | - | `mprotect` at the grow | as `Protect` |
//! | [`Demand`] | the kernel's | nothing, ever | the kernel | `madvise`, still accessible |

mod demand;
mod eager;
mod kind;
mod protect;
mod uffd;

pub(crate) use demand::Demand;
pub(crate) use eager::Eager;
pub use kind::PagerKind;
pub(crate) use protect::Protect;
pub(crate) use uffd::Uffd;

use crate::Protection;
use crate::sys::{ImagePart, SysError};

/// Pages to make present. They are claimed: no other thread works on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    /// Host address of the first byte.
    pub(crate) addr: usize,
    /// Bytes.
    pub(crate) len: usize,
    /// What the pages are to allow.
    pub(crate) protection: Protection,
    /// Host address of the initial contents; `None` for zeroes.
    pub(crate) source: Option<usize>,
    /// The pages have contents already: only map them.
    pub(crate) resident: bool,
    /// The system may protect the range more strictly than its VMA says.
    pub(crate) remap: bool,
}

/// How far a change of protection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// Pages with contents are accessible exactly as asked.
    Exactly,
    /// Pages with contents are not accessible at all until a fault maps them.
    NotAtAll,
}

/// The ways of making pages present and absent. All ranges are whole pages inside one reservation.
pub(crate) trait Pager: Sync {
    /// Prepares a fresh reservation whose `[addr, addr + len)` may become accessible.
    fn attach(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        Ok(())
    }

    /// Makes the pages present, or a first part of them; returns how many bytes. On failure, none.
    fn populate(&self, commit: &Commit) -> Result<usize, SysError>;

    /// Makes sure that nobody accesses the range in a way that `to` does not allow. Contents stay.
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError>;

    /// Drops the contents of the range. The next touch faults, if the pager's accesses do.
    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError>;

    /// Like `zap`, and removes any image that was mapped there. The VMA of the range allows `to`.
    fn replace(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError>;

    /// Like `replace`, but the pages will come from `image`.
    fn attach_image(
        &self,
        addr: usize,
        len: usize,
        image: ImagePart,
        to: Protection,
    ) -> Result<(), SysError>;

    /// Whether accesses that a VMA allows may fault. If not, the system maps everything as its VMA says at all times,
    /// and page states are not kept: only the kernel knows which pages are present.
    fn faults(&self) -> bool {
        true
    }

    /// Whether a `populate` that fails has changed nothing, however many mappings the range consists of.
    fn refuses_exactly(&self) -> bool {
        false
    }

    /// Whether a grow commits its pages at once.
    fn commits_at_grow(&self) -> bool {
        false
    }
}
