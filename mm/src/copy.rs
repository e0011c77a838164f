//! Copies to and from guest memory that may fault, like the kernel's `copy_from_user`.
//!
//! The routines are assembly in a known range of program counters (`arch`). If a page resolves a fault inside them, it
//! is a fault like any other. If the access is denied, the routine returns [`Stop`] and the process goes on. No Rust
//! reference to guest memory is ever formed. Other threads may write the memory during the copy; the bytes are then a
//! mixture of old and new, as they would be for the processor.

use libc::ucontext_t;

use crate::arch;
use crate::{Fault, FaultKind};

/// A copy that was stopped by a denied access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub kind: FaultKind,
    /// Host address of the access.
    pub addr: usize,
}

/// What the routines return, in two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Verdict {
    /// Zero for success.
    pub code: u64,
    /// Host address of the access that was denied, if one was.
    pub addr: u64,
}

/// Copies `len` bytes from `src` to `dst`, which may overlap in any way.
///
/// # Safety
/// Each range is inside an object that the caller may access in this way, or inside a region; no other thread accesses it except
/// if it is inside a region.
pub type CopyBytes = unsafe extern "C" fn(dst: *mut u8, src: *const u8, len: usize) -> Verdict;

/// Sets `len` bytes from `dst` on to the low byte of `byte`.
///
/// # Safety
/// As for [`CopyBytes`].
pub type FillBytes = unsafe extern "C" fn(dst: *mut u8, byte: u32, len: usize) -> Verdict;

/// Sets `len` bytes from `dst` on to `word` over and over. If the length is not a multiple of 8, a part of the word of 1, 2 or
/// 4 bytes must repeat itself in it, and the length be a multiple of that part. The address must be one, too.
///
/// # Safety
/// As for [`CopyBytes`].
pub type FillWords = unsafe extern "C" fn(dst: *mut u8, word: u64, len: usize) -> Verdict;

/// The same with two words in turn. The length must be a multiple of 16, and the address of 8.
///
/// # Safety
/// As for [`CopyBytes`].
pub type FillPairs = unsafe extern "C" fn(dst: *mut u8, low: u64, len: usize, high: u64) -> Verdict;

/// The routine that copies, for generated code that has made sure of bounds itself. It uses no stack, and registers as the
/// C convention has it. A region must have been built before.
pub const fn copy_routine() -> CopyBytes {
    arch::seqfault_mm_copy
}

/// The routine that fills, as [`copy_routine`].
pub const fn fill_routine() -> FillBytes {
    arch::seqfault_mm_fill
}

/// The routine that fills with a word, as [`copy_routine`].
pub const fn fill_words_routine() -> FillWords {
    arch::seqfault_mm_fill_words
}

/// The routine that fills with two words, as [`copy_routine`].
pub const fn fill_pairs_routine() -> FillPairs {
    arch::seqfault_mm_fill_pairs
}

/// Copies `len` bytes; the ranges may overlap.
///
/// # Safety
/// Each range is inside an object that the caller may access in this way, or inside a region.
pub(crate) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Stop> {
    // SAFETY: the caller's condition.
    unsafe { arch::seqfault_mm_copy(dst, src, len) }.check()
}

/// Sets `len` bytes.
///
/// # Safety
/// The range is inside a region.
pub(crate) unsafe fn fill(dst: *mut u8, byte: u8, len: usize) -> Result<(), Stop> {
    // SAFETY: the caller's condition.
    unsafe { arch::seqfault_mm_fill(dst, u32::from(byte), len) }.check()
}

/// Sets `len` bytes to `pair`, little-endian, over and over.
///
/// # Safety
/// The range is inside a region. Its length is a multiple of 16 and its address of 8, or `pair` repeats a part of itself of 1,
/// 2, 4 or 8 bytes of which both are multiples.
pub(crate) unsafe fn fill_pairs(dst: *mut u8, pair: u128, len: usize) -> Result<(), Stop> {
    let [low, high] = [pair as u64, (pair >> 64) as u64];
    // SAFETY: the caller's condition.
    let verdict = unsafe {
        match low == high {
            true => arch::seqfault_mm_fill_words(dst, low, len),
            false => arch::seqfault_mm_fill_pairs(dst, low, len, high),
        }
    };
    verdict.check()
}

/// Loads 4 bytes at once: other threads' stores are seen whole or not at all. On x86-64 every such load has the
/// ordering `Acquire`.
///
/// # Safety
/// The bytes are inside a region, and aligned.
pub(crate) unsafe fn load_u32(src: *const u32) -> Result<u32, Stop> {
    let mut value = 0;
    // SAFETY: the caller's condition; `value` is exclusive.
    unsafe { arch::seqfault_mm_load_u32(&mut value, src) }.check()?;
    Ok(value)
}

/// Loads 8 bytes at once, as [`load_u32`].
///
/// # Safety
/// As for [`load_u32`].
pub(crate) unsafe fn load_u64(src: *const u64) -> Result<u64, Stop> {
    let mut value = 0;
    // SAFETY: the caller's condition; `value` is exclusive.
    unsafe { arch::seqfault_mm_load_u64(&mut value, src) }.check()?;
    Ok(value)
}

/// In the handler: if the signal interrupted a copy, makes it return the fault.
pub(crate) fn stop(context: &mut ucontext_t, fault: &Fault) -> bool {
    let ours = arch::in_copy(arch::pc(context));
    if ours {
        arch::stop_copy(context, encode(fault.kind), fault.addr as u64);
    }
    ours
}

fn encode(kind: FaultKind) -> u64 {
    match kind {
        FaultKind::OutOfBounds => 1,
        FaultKind::Protection => 2,
        FaultKind::ResidentLimit => 3,
        FaultKind::OutOfMemory => 4,
        FaultKind::Inherited => 5,
    }
}

impl Verdict {
    /// Whether everything was done.
    ///
    /// # Errors
    /// When an access was denied; a part may have been done then.
    pub fn check(self) -> Result<(), Stop> {
        let kind = match self.code {
            0 => return Ok(()),
            1 => FaultKind::OutOfBounds,
            2 => FaultKind::Protection,
            3 => FaultKind::ResidentLimit,
            4 => FaultKind::OutOfMemory,
            _ => FaultKind::Inherited,
        };
        Err(Stop { kind, addr: self.addr as usize })
    }
}
