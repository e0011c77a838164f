//! How a call ends without success.
//!
//! There are two ways, which never mix. An [`Errno`] is returned to the guest as the call's result.
//! An [`Abort`] ends the guest, because the call must not return (`proc_exit`), or because the
//! guest violated the interface's rules for pointers, which require a trap.

use std::io;

use crate::abi::Errno;
use crate::memory::MemoryFault;

/// What a call returns.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not succeed.
#[derive(Debug, PartialEq)]
pub(crate) enum Error {
    /// Returned to the guest.
    Errno(Errno),
    /// Ends the guest.
    Abort(Abort),
}

/// Why the guest must end.
#[derive(Debug, PartialEq)]
pub(crate) enum Abort {
    /// It called `proc_exit`.
    Exit(I32Exit),
    /// It passed a pointer that the interface does not allow.
    Pointer(PointerError),
    /// The embedder ended it, see [`InterruptHandle`](crate::InterruptHandle).
    Interrupted(Interrupted),
}

/// The guest called `proc_exit` with this status.
///
/// The call that entered the guest returns it as its error; `err.downcast_ref::<I32Exit>()`
/// distinguishes it from a trap. The status may be 0: a guest that exits has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exited with status {0}")]
pub struct I32Exit(pub i32);

/// The guest was interrupted inside a WASI call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted in a WASI call")]
pub struct Interrupted;

/// The guest passed a pointer for which the interface requires a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointerError {
    /// The range is not inside the memory.
    #[error("a WASI call was given {len} bytes at {at:#x}, beyond the end of the memory")]
    OutOfBounds {
        /// The start of the range.
        at: u32,
        /// Its length in bytes.
        len: u64,
    },
    /// The pointer is not aligned for its type.
    #[error("a WASI call was given the pointer {at:#x}, which must be a multiple of {align}")]
    Misaligned {
        /// The pointer.
        at: u32,
        /// The required alignment.
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
            // The range is valid, but the host has no memory for it: the same error as for read(2)
            // into such a range.
            MemoryFault::Exhausted => Error::Errno(Errno::NoMem),
        }
    }
}
