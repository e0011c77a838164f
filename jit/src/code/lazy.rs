//! Lazy entries: the code that a function's slot points to before the function is compiled.
//!
//! Each is one instruction (`arch`) that calls the runtime's stub. The return address that the call pushes tells the
//! stub which entry it was ([`lazy_entry_at`]). The stub compiles the function, patches the slot, removes the pushed
//! address and jumps to the code, so that the function finds registers and stack as its caller left them.
//!
//! The address of the stub is stored behind the last entry.

use super::arena::CodeArena;
use super::space::lookup;
use super::unit::PublishedUnit;
use crate::arch::{LAZY_ENTRY_CALL, LAZY_ENTRY_SIZE, encode_lazy_entry};
use crate::error::CompileError;

/// The lazy entries of one module.
#[derive(Debug)]
pub struct LazyEntries {
    unit: PublishedUnit,
    count: usize,
}

impl LazyEntries {
    /// Entries for `count` functions that call `stub`; [`lazy_entry_at`] will return `owner`.
    ///
    /// # Errors
    ///
    /// [`CompileError::CodeSpace`] when no room is left.
    pub fn publish(
        arena: &CodeArena,
        count: usize,
        stub: *const u8,
        owner: usize,
    ) -> Result<LazyEntries, CompileError> {
        let end = count * LAZY_ENTRY_SIZE;
        let mut text = vec![0; end + size_of::<usize>()];
        let entries = text[..end].as_chunks_mut().0;
        for (index, entry) in entries.iter_mut().enumerate() {
            encode_lazy_entry(entry, end - index * LAZY_ENTRY_SIZE);
        }
        text[end..].copy_from_slice(&(stub as usize).to_le_bytes());
        let room = arena.put(&text)?;
        Ok(LazyEntries { unit: PublishedUnit::without_tables(room, owner), count })
    }

    /// The entry of a defined function.
    pub fn entry(&self, index: usize) -> *const u8 {
        assert!(index < self.count);
        self.unit.start().wrapping_add(index * LAZY_ENTRY_SIZE)
    }
}

/// The owner and the index of the lazy entry that pushed `return_address`.
///
/// # Safety
///
/// It must have been pushed by a lazy entry that is still published.
pub unsafe fn lazy_entry_at(return_address: usize) -> (usize, usize) {
    let entry = return_address - LAZY_ENTRY_CALL;
    // SAFETY: published (caller's promise).
    let unit = unsafe { lookup(entry) }.expect("the entry is published");
    (unit.owner(), (entry - unit.start()) / LAZY_ENTRY_SIZE)
}
