//! How a call ends when it does not succeed.
//!
//! Two ways, which never mix: an [`Errno`] goes back to the guest as the call's result; an [`Abort`]
//! ends the guest, because there is nothing to return to (`proc_exit`) or because it broke the
//! interface's rules on pointers, which ask for a trap.

use std::io;

use crate::abi::Errno;
use crate::memory::MemoryFault;

/// What a call returns.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not succeed.
#[derive(Debug, PartialEq)]
pub(crate) enum Error {
    /// Tell the guest.
    Errno(Errno),
    /// End the guest.
    Abort(Abort),
}

/// Why the guest must end.
#[derive(Debug, PartialEq)]
pub(crate) enum Abort {
    /// It asked for it.
    Exit(I32Exit),
    /// It passed a pointer the interface does not allow.
    Pointer(PointerError),
    /// The embedder asked for it, see [`InterruptHandle`](crate::InterruptHandle).
    Interrupted(Interrupted),
}

/// The guest called `proc_exit` with this status.
///
/// The call that entered the guest returns it as its error; `err.downcast_ref::<I32Exit>()`
/// tells it from a trap. It may be 0: a guest that exits has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exited with status {0}")]
pub struct I32Exit(pub i32);

/// The guest was told to stop while it waited inside a WASI call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted in a WASI call")]
pub struct Interrupted;

/// The guest passed WASI a pointer that the interface says must trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointerError {
    /// The range does not lie within the memory.
    #[error("a WASI call was given {len} bytes at {at:#x}, beyond the end of the memory")]
    OutOfBounds {
        /// Where the range begins.
        at: u32,
        /// How many bytes it has.
        len: u64,
    },
    /// The pointer is not a multiple of what its type asks for.
    #[error("a WASI call was given the pointer {at:#x}, which must be a multiple of {align}")]
    Misaligned {
        /// The pointer.
        at: u32,
        /// The alignment of what it points to.
        align: u32,
    },
    /// The caller exports no memory.
    #[error("a WASI call needs the caller to export its memory as \"memory\"")]
    NoMemory,
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Error::Errno(errno)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Errno(error.into())
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Error::Errno(errno.into())
    }
}

impl From<Abort> for Error {
    fn from(abort: Abort) -> Self {
        Error::Abort(abort)
    }
}

impl From<PointerError> for Error {
    fn from(error: PointerError) -> Self {
        Error::Abort(Abort::Pointer(error))
    }
}

impl From<MemoryFault> for Error {
    fn from(fault: MemoryFault) -> Self {
        match fault {
            MemoryFault::Pointer(error) => error.into(),
            // The range is the guest's, the host cannot back it: as read(2) into such a range.
            MemoryFault::Exhausted => Error::Errno(Errno::NoMem),
        }
    }
}
