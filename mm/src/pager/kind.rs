//! `PagerKind`: choosing a pager, by probe or by name.

use super::{Demand, Eager, Pager, Protect, Uffd};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::space::{Opening, Policy};
use crate::sys::Linux;

/// How pages are made present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PagerKind {
    /// The best pager that this host allows: `Uffd` where the kernel allows it, `Protect` elsewhere. Regions may
    /// differ: the kernel may refuse `Uffd` to one region and grant it to another.
    Auto,
    /// No access until touched; `mprotect` of the window in the fault. Works wherever `mmap` does, and never calls
    /// `userfaultfd`.
    Protect,
    /// `userfaultfd` with SIGBUS, in user mode only; `UFFDIO_COPY` of the window in the fault. No kernel lock is taken
    /// for writing. Not available where it is denied (containers, old kernels).
    Uffd,
    /// Everything is committed when the region grows; faults happen only where something was discarded or protected.
    Eager,
    /// The kernel's demand paging: the grow makes memory accessible, and it stays so, also after a discard or a change
    /// of protection. An access that is allowed raises no signal, so no handler is installed. The resident size cannot
    /// be limited, and running out of memory kills the process.
    Demand,
}

static PROTECT: Protect<Linux> = Protect::new(Linux);
static UFFD: Uffd<Linux> = Uffd::new(Linux);
static EAGER: Eager<Linux> = Eager::new(Linux);
static DEMAND: Demand<Linux> = Demand::new(Linux);

impl PagerKind {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Demand as usize + 1;

    /// The kind that `Auto` stands for on this host; other kinds stand for themselves.
    pub(crate) fn resolve(self, process: &Process) -> Result<Self> {
        // The other kinds must not even ask: a filter may kill a process that does.
        if !matches!(self, Self::Auto | Self::Uffd) {
            return Ok(self);
        }
        match process.userfault.available() {
            Ok(()) => Ok(Self::Uffd),
            Err(_) if self == Self::Auto => Ok(Self::Protect),
            Err(error) => Err(Error::PagerUnavailable {
                pager: self,
                call: error.call,
                reason: std::io::Error::from_raw_os_error(error.errno),
            }),
        }
    }

    /// How faults are answered by default. Where the system brings a page only when it is touched, a large window costs
    /// nothing but its mapping, and small windows would make many mappings.
    pub(crate) fn policy(self, opening: Opening) -> Policy {
        match self {
            Self::Uffd => Policy::FINE.opening(opening),
            Self::Auto | Self::Protect => Policy::COARSE.opening(opening),
            Self::Eager | Self::Demand => Policy::COARSE,
        }
    }

    /// The pager of a resolved kind.
    pub(crate) fn pager(self) -> &'static dyn Pager {
        match self {
            Self::Auto | Self::Protect => &PROTECT,
            Self::Uffd => &UFFD,
            Self::Eager => &EAGER,
            Self::Demand => &DEMAND,
        }
    }
}
