//! Long work that the host does for a guest: it is done in pieces, between which the guest may be interrupted.
//!
//! A check may run code of the embedder, which may collect, grow what is worked on, or run the guest. So what is worked on
//! is looked up again for each piece, and references are held by a [`Kept`].

use super::StoreOpaque;
use crate::error::Result;
use crate::fallible::NoMemory;
use crate::gc::{HeldRef, RawRef};
use seqfault_jit::vm::ROUTINE_LIMIT;
use std::ops::Range;

/// How many elements of `size` bytes make a piece.
pub(crate) fn piece_of(size: usize) -> usize {
    ROUTINE_LIMIT / size
}

/// Does `work` for each of `len` units, at most `most` at once, and checks between the pieces whether the guest is to be
/// interrupted.
///
/// # Safety
///
/// `store` must be the one that runs on this thread, and not borrowed; references must be rooted or [`Kept`].
pub(crate) unsafe fn in_pieces(
    store: *mut StoreOpaque,
    len: usize,
    most: usize,
    mut work: impl FnMut(Range<usize>) -> Result<()>,
) -> Result<()> {
    let mut done = 0;
    loop {
        let end = len.min(done + most);
        work(done..end)?;
        if end == len {
            return Ok(());
        }
        done = end;
        // SAFETY: the caller's promise.
        unsafe { StoreOpaque::check_interrupt(store)? };
    }
}

/// A value that stays good while the guest may be interrupted.
pub(crate) struct Kept {
    bits: u64,
    /// If it is a reference of the heap, by which the collector knows of it.
    held: Option<HeldRef>,
}

impl Kept {
    /// Keeps a value, as tables have them. `is_held` says that it is a reference of the heap, and that there will be a
    /// check.
    pub(crate) fn new(store: &mut StoreOpaque, bits: u64, is_held: bool) -> Result<Kept, NoMemory> {
        let held = is_held.then(|| HeldRef::new(store, bits as RawRef)).transpose()?;
        Ok(Kept { bits, held })
    }

    /// The value, until the next check.
    pub(crate) fn bits(&self) -> u64 {
        self.held.as_ref().map_or(self.bits, |held| held.raw().into())
    }

    /// The value, which is a reference of the heap.
    pub(crate) fn raw(&self) -> RawRef {
        self.bits() as RawRef
    }
}
