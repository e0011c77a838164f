//! [`MemoryAccessError`]: what host accesses to memories fail with.

use seqfault_mm::Fault;
use std::fmt;

/// A range of a memory cannot be used.
#[derive(Clone, Debug)]
pub struct MemoryAccessError {
    offset: usize,
    len: usize,
    cause: Option<String>,
}

impl MemoryAccessError {
    pub(super) fn out_of_bounds(offset: usize, len: usize) -> MemoryAccessError {
        MemoryAccessError { offset, len, cause: None }
    }

    pub(super) fn because(offset: usize, len: usize, cause: impl ToString) -> MemoryAccessError {
        MemoryAccessError { offset, len, cause: Some(cause.to_string()) }
    }

    pub(super) fn fault(offset: usize, len: usize, fault: Fault) -> MemoryAccessError {
        MemoryAccessError::because(offset, len, fault)
    }
}

impl fmt::Display for MemoryAccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryAccessError { offset, len, cause } = self;
        let what = cause.as_deref().unwrap_or("out of bounds memory access");
        write!(f, "{what}: {len} bytes at {offset:#x}")
    }
}

impl std::error::Error for MemoryAccessError {}
