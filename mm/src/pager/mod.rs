//! Pagers: how pages are made present and absent.
//!
//! The core says *what* (these pages, this protection, these contents), a [`Pager`] says *how*. Everything but
//! `attach` is async-signal-safe: no allocation, no lock, no panic.

mod protect;

pub(crate) use protect::Protect;

use crate::Protection;
use crate::error::Result;
use crate::sys::{Linux, SysError};

/// Which way pages are brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PagerKind {
    /// The best that this host allows.
    Auto,
    /// No access until touched; `mprotect` of the window in the fault. Works wherever `mmap` does.
    Protect,
}

/// Pages to make present. They are claimed: nobody else is at work on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    /// Host address of the first byte.
    pub(crate) addr: usize,
    /// Bytes.
    pub(crate) len: usize,
    /// What the pages shall allow.
    pub(crate) protection: Protection,
    /// Host address of the initial contents; zeroes without.
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
    /// Makes the pages present. On failure nothing is, unless the range had been in several mappings.
    fn populate(&self, commit: &Commit) -> std::result::Result<(), SysError>;

    /// Makes sure that nobody accesses the range in a way that `to` does not allow. Contents stay.
    fn protect(
        &self,
        addr: usize,
        len: usize,
        to: Protection,
    ) -> std::result::Result<Mapped, SysError>;

    /// Drops what is in the range; the next touch faults.
    fn zap(&self, addr: usize, len: usize) -> std::result::Result<(), SysError>;

    /// Like `zap`, and whatever image was mapped there is gone, too.
    fn replace(&self, addr: usize, len: usize) -> std::result::Result<(), SysError>;

    /// Whether a grow commits at once.
    fn commits_at_grow(&self) -> bool {
        false
    }
}

static PROTECT: Protect<Linux> = Protect::new(Linux);

impl PagerKind {
    /// What `Auto` means here; the others mean themselves.
    pub(crate) fn resolve(self) -> Result<Self> {
        match self {
            Self::Auto | Self::Protect => Ok(Self::Protect),
        }
    }

    /// The pager of a resolved kind.
    pub(crate) fn pager(self) -> &'static dyn Pager {
        match self {
            Self::Auto | Self::Protect => &PROTECT,
        }
    }
}
