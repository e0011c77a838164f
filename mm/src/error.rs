//! What can go wrong, for the caller: [`Error`] for operations, [`Fault`] for accesses.

use crate::sys::SysError;

/// Result of an operation on a region.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a region, or the set-up of signals, failed. The region is unchanged, unless the operation says
/// otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused a call.
    #[error("{call} failed: {source}")]
    System {
        /// The call, by the name of its man page.
        call: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The size is larger than what the region was built for.
    #[error("the size exceeds the region's maximum")]
    BeyondMaximum,
    /// The range is not inside the accessible part of the region.
    #[error("the range is not inside the accessible part of the region")]
    OutOfRange,
    /// An offset or a length is not a multiple of the host's page size.
    #[error("offset {offset:#x} is not a multiple of the page size")]
    Misaligned {
        /// The offending offset.
        offset: usize,
    },
    /// The region is in too many pieces of different protection or backing.
    #[error("the region would be in more than 65536 pieces of different protection or backing")]
    TooManyVmas,
    /// The region is larger than the address space that can be managed.
    #[error("a region of {bytes} bytes does not fit the address space")]
    TooLarge {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The host's pages have a size that this crate was not built for.
    #[error("host pages of {bytes} bytes are not supported, only 4096")]
    PageSize {
        /// The host's page size.
        bytes: usize,
    },
    /// The pager asked for cannot be used on this host.
    #[error("the pager {pager:?} is not available: {call} failed: {reason}")]
    PagerUnavailable {
        /// What was asked for.
        pager: crate::PagerKind,
        /// The system call, or the request of one, that it needs.
        call: &'static str,
        /// Why not.
        reason: std::io::Error,
    },
    /// The pager does not count resident pages, so it cannot limit them.
    #[error(
        "the pager {pager:?} cannot limit what is resident: leave the limit out, or take another pager"
    )]
    Unlimited {
        /// What was asked for.
        pager: crate::PagerKind,
    },
    /// The region was made by a process that has forked this one.
    #[error(
        "the region belongs to the process that forked this one; a child makes regions of its own"
    )]
    Inherited,
    /// Another signal handler was installed over ours and is to stay: first touches of pages would not reach us.
    #[error(
        "the handler of {signal} was replaced by {by}, which would get the faults of this library and end the \
         process: install it before the first engine or region is made, or let its place be taken back"
    )]
    HandlerDisplaced {
        /// Of which signal.
        signal: &'static str,
        /// Whose handler is there now: symbol, file, address.
        by: String,
    },
    /// Another hook was installed before.
    #[error("another signal hook is installed in this process")]
    HookTaken,
}

impl Error {
    /// The system's error number, if the system said no.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } | Self::PagerUnavailable { reason: source, .. } => {
                source.raw_os_error()
            }
            _ => None,
        }
    }
}

impl From<SysError> for Error {
    fn from(error: SysError) -> Self {
        Self::System { call: error.call, source: std::io::Error::from_raw_os_error(error.errno) }
    }
}

/// Why an access was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Beyond the accessible length.
    OutOfBounds,
    /// Inside, but the page's protection does not allow it.
    Protection,
    /// The page would exceed the region's resident limit.
    ResidentLimit,
    /// The system has no memory, or no mappings, left for the page.
    OutOfMemory,
    /// The region was made by a process that has forked this one.
    Inherited,
}

/// An access that is not possible. The answer is final: it was decided on a validated snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access at offset {offset:#x}: {kind:?}")]
#[non_exhaustive]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// Byte offset of the access in its region.
    pub offset: usize,
    /// The same as a host address.
    pub addr: usize,
}
