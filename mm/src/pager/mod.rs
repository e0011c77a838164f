//! Pagers: how pages are made present and absent.
//!
//! The core says *what* (these pages, this protection, these contents), a [`Pager`] says *how*. `populate` and `open`
//! are async-signal-safe: no allocation, no lock, no panic.
//!
//! | | untouched page | touch raises | made present by | made absent by | opened by |
//! |---|---|---|---|---|---|
//! | [`Protect`] | `PROT_NONE` | SIGSEGV | `mprotect` | `madvise` + `mprotect` | `mprotect` |
//! | [`Uffd`] | missing, registered | SIGBUS | `UFFDIO_COPY` | `madvise` | `UFFDIO_UNREGISTER` |
//! | [`Eager`] | present since the grow | - | `mprotect` at the grow | as `Protect` | as `Protect` |
//! | [`Demand`] | open since the grow | nothing, ever | the kernel | `madvise`, still open | `mprotect` at the grow |

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
use crate::sys::{ImagePart, Sys, SysError};

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
///
/// Except for those of `open`, all ranges are *closed*: a touch of a page that is not present faults. What happens to
/// open ranges is the same for all pagers; the core asks the [`system`](Self::system) for it.
pub(crate) trait Pager: Sync {
    /// The system that the pager works on.
    fn system(&self) -> &dyn Sys;

    /// Prepares a fresh reservation whose `[addr, addr + len)` may become accessible.
    fn attach(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        Ok(())
    }

    /// Makes the pages present, or a first part of them; returns how many bytes. On failure, none.
    fn populate(&self, commit: &Commit) -> Result<usize, SysError>;

    /// Makes sure that nobody accesses the range in a way that `to` does not allow. Contents stay.
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<Mapped, SysError>;

    /// Drops the contents of the range. The next touch faults.
    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError>;

    /// Like `zap`, and removes any image that was mapped there.
    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError>;

    /// Like `replace`, but the pages will come from `image`.
    fn attach_image(&self, addr: usize, len: usize, image: ImagePart) -> Result<(), SysError>;

    /// Leaves the range to the kernel, which brings the pages from now on. Its VMA allows `to`, and so does the system as
    /// far as the pager's closed ranges do. Contents stay. An open range may be opened again. A failure may leave a part
    /// open.
    fn open(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        self.system().protect(addr, len, to)
    }

    /// Drops the contents of an open range without an image. The next touch faults. A failure may leave a part open.
    fn close(&self, addr: usize, len: usize) -> Result<(), SysError>;

    /// Takes an open range back from the kernel: the next touch of a page that is missing faults. Contents stay. A
    /// failure may leave a part open.
    fn take_back(&self, addr: usize, len: usize) -> Result<Mapped, SysError> {
        self.system().protect(addr, len, Protection::NoAccess).map(|()| Mapped::NotAtAll)
    }

    /// Whether accesses that a VMA allows may fault. If not, everything is open from the grow on.
    fn faults(&self) -> bool {
        true
    }

    /// Whether a `populate` that fails has changed nothing, however many mappings the range consists of.
    fn refuses_exactly(&self) -> bool {
        false
    }

    /// Whether a page that is present is in memory. If not, the kernel brings it when it is touched.
    fn brings_pages(&self) -> bool {
        false
    }

    /// Whether a grow commits its pages at once.
    fn commits_at_grow(&self) -> bool {
        false
    }
}
