//! Lazy entries: what a function's slot leads to before the function is compiled.
//!
//! Each is one instruction that calls the runtime's stub; the address that the call pushes tells
//! the stub which entry it was ([`lazy_entry_at`]). The stub compiles the function, patches the
//! slot, takes the pushed address off again and goes on to the code, so that the function finds
//! registers and stack as its caller left them.
//!
//! ```text
//! call [rip + <distance to the stub's address>]   ff 15 disp32
//! ```
//!
//! The address of the stub lies behind the last entry.

use super::arena::CodeArena;
use super::space::lookup;
use super::unit::PublishedUnit;
use crate::error::CompileError;

/// Bytes from one lazy entry to the next.
const ENTRY_SIZE: usize = 8;

/// Bytes of the call.
const CALL_SIZE: usize = 6;

/// The lazy entries of one module.
#[derive(Debug)]
pub struct LazyEntries {
    unit: PublishedUnit,
    count: usize,
}

impl LazyEntries {
    /// Entries for `count` functions that lead to `stub`; `owner` is what [`lazy_entry_at`] will
    /// say.
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
        let end = count * ENTRY_SIZE;
        let mut text = vec![0; end + size_of::<usize>()];
        for (index, entry) in text[..end].chunks_exact_mut(ENTRY_SIZE).enumerate() {
            let distance = end - (index * ENTRY_SIZE + CALL_SIZE);
            // The code space is smaller than 4 GiB.
            encode(entry, distance as u32);
        }
        text[end..].copy_from_slice(&(stub as usize).to_le_bytes());
        let room = arena.put(&text)?;
        Ok(LazyEntries { unit: PublishedUnit::without_tables(room, owner), count })
    }

    /// The entry of a defined function.
    pub fn entry(&self, index: usize) -> *const u8 {
        assert!(index < self.count);
        self.unit.start().wrapping_add(index * ENTRY_SIZE)
    }
}

/// The owner and the index of the lazy entry that has pushed `return_address`.
///
/// # Safety
///
/// It must have been pushed by a lazy entry that is still published.
pub unsafe fn lazy_entry_at(return_address: usize) -> (usize, usize) {
    let entry = return_address - CALL_SIZE;
    // SAFETY: published (caller's promise).
    let unit = unsafe { lookup(entry) }.expect("the entry is published");
    (unit.owner(), (entry - unit.start()) / ENTRY_SIZE)
}

/// Writes one entry; `distance` is from the end of its call to the stub's address.
#[cfg(target_arch = "x86_64")]
fn encode(entry: &mut [u8], distance: u32) {
    entry[..2].copy_from_slice(&[0xff, 0x15]);
    entry[2..CALL_SIZE].copy_from_slice(&distance.to_le_bytes());
    // Never executed; traps should it ever be.
    entry[CALL_SIZE..].fill(0xcc);
}
