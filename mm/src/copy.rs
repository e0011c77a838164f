//! Copies to and from guest memory that may fault, like the kernel's `copy_from_user`.
//!
//! The routines are assembly in a known range of program counters (`arch`). If a page resolves a fault inside them, it
//! is a fault like any other. If the access is denied, the routine returns [`Stop`] and the process goes on. No Rust
//! reference to guest memory is ever formed. Other threads may write the memory during the copy; the bytes are then a
//! mixture of old and new, as they would be for the processor.

use libc::ucontext_t;

use crate::arch::{self, Verdict};
use crate::{Fault, FaultKind};

/// A copy that was stopped by a denied access.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// Why.
    pub(crate) kind: FaultKind,
    /// Host address of the access.
    pub(crate) addr: usize,
}

/// Copies `len` bytes upwards.
///
/// # Safety
/// 1. Each range is inside an object that the caller may access in this way, or inside a region.
/// 2. If the ranges overlap, `dst` is not above `src`.
pub(crate) unsafe fn forward(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Stop> {
    // SAFETY: 1 and 2 are the routine's own conditions.
    verdict(unsafe { arch::seqfault_mm_copy_forward(dst, src, len) })
}

/// Copies `len` bytes downwards.
///
/// # Safety
/// 1. As for [`forward`].
/// 2. If the ranges overlap, `dst` is not below `src`.
pub(crate) unsafe fn backward(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Stop> {
    // SAFETY: 1 and 2 are the routine's own conditions.
    verdict(unsafe { arch::seqfault_mm_copy_backward(dst, src, len) })
}

/// Sets `len` bytes.
///
/// # Safety
/// The range is inside a region.
pub(crate) unsafe fn fill(dst: *mut u8, byte: u8, len: usize) -> Result<(), Stop> {
    // SAFETY: the caller's condition.
    verdict(unsafe { arch::seqfault_mm_fill(dst, u64::from(byte), len) })
}

/// Loads 4 bytes at once: other threads' stores are seen whole or not at all. On x86-64 every such load has the
/// ordering `Acquire`.
///
/// # Safety
/// The bytes are inside a region, and aligned.
pub(crate) unsafe fn load_u32(src: *const u32) -> Result<u32, Stop> {
    let mut value = 0;
    // SAFETY: the caller's condition; `value` is exclusive.
    verdict(unsafe { arch::seqfault_mm_load_u32(&mut value, src) })?;
    Ok(value)
}

/// Loads 8 bytes at once, as [`load_u32`].
///
/// # Safety
/// As for [`load_u32`].
pub(crate) unsafe fn load_u64(src: *const u64) -> Result<u64, Stop> {
    let mut value = 0;
    // SAFETY: the caller's condition; `value` is exclusive.
    verdict(unsafe { arch::seqfault_mm_load_u64(&mut value, src) })?;
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

fn verdict(verdict: Verdict) -> Result<(), Stop> {
    let kind = match verdict.code {
        0 => return Ok(()),
        1 => FaultKind::OutOfBounds,
        2 => FaultKind::Protection,
        3 => FaultKind::ResidentLimit,
        4 => FaultKind::OutOfMemory,
        _ => FaultKind::Inherited,
    };
    Err(Stop { kind, addr: verdict.addr as usize })
}
