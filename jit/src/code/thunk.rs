//! Lazy entries: what a function's slot leads to before the function is compiled.
//!
//! Each is a few instructions that put the function's index where no argument travels and jump to
//! the runtime's stub, which compiles the function, patches the slot and goes on to the code:
//!
//! ```text
//! mov  eax, <defined function index>      b8 imm32
//! jmp  [rip + <distance to the address>]  ff 25 disp32
//! ```
//!
//! The address of the stub lies behind the last entry. `eax` carries neither an argument nor the
//! address of an argument in Cranelift's `tail` convention on x86-64.

use super::space::CodePages;
use super::unit::PublishedUnit;
use crate::error::CompileError;

/// Bytes from one lazy entry to the next.
pub const LAZY_ENTRY_SIZE: usize = 16;

/// The lazy entries of one module.
#[derive(Debug)]
pub struct LazyEntries {
    unit: PublishedUnit,
    count: usize,
}

impl LazyEntries {
    /// Entries for `count` functions that lead to `stub`.
    ///
    /// # Errors
    ///
    /// [`CompileError::CodeSpace`] when no room is left.
    pub fn publish(count: usize, stub: *const u8) -> Result<LazyEntries, CompileError> {
        let end = count * LAZY_ENTRY_SIZE;
        let pages = CodePages::take(end + size_of::<usize>())?;
        pages.fill(|memory| {
            for (index, entry) in memory[..end].chunks_exact_mut(LAZY_ENTRY_SIZE).enumerate() {
                let rest = end - (index * LAZY_ENTRY_SIZE + ENTRY_CODE_SIZE);
                encode(entry, index as u32, rest as u32);
            }
            memory[end..end + size_of::<usize>()].copy_from_slice(&(stub as usize).to_le_bytes());
        })?;
        Ok(LazyEntries { unit: PublishedUnit::plain(pages), count })
    }

    /// The entry of a defined function.
    pub fn entry(&self, index: usize) -> *const u8 {
        assert!(index < self.count);
        self.unit.start().wrapping_add(index * LAZY_ENTRY_SIZE)
    }
}

/// Bytes of the two instructions.
const ENTRY_CODE_SIZE: usize = 11;

/// Writes one entry; `distance` is from its end to the stub's address.
#[cfg(target_arch = "x86_64")]
fn encode(entry: &mut [u8], index: u32, distance: u32) {
    entry[0] = 0xb8;
    entry[1..5].copy_from_slice(&index.to_le_bytes());
    entry[5..7].copy_from_slice(&[0xff, 0x25]);
    entry[7..11].copy_from_slice(&distance.to_le_bytes());
    // Never executed; traps should it ever be.
    entry[11..].fill(0xcc);
}
