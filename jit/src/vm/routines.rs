//! The routines that copy and fill memories, tables and arrays for compiled code.
//!
//! Compiled code has made sure of the bounds. It calls them directly: they take no context, know no
//! store, and raise no trap. An access that is denied nevertheless (a page that may not come) stops
//! them, and they say so.

/// What a routine returns, in two registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMVerdict {
    /// Zero, or why it was stopped: for the runtime, which gets it by `raise_stopped`.
    pub code: u64,
    /// Where it was stopped.
    pub addr: u64,
}

/// Copies `len` bytes from `src` to `dst`, which may overlap.
pub type VMCopyBytes = unsafe extern "C" fn(dst: *mut u8, src: *const u8, len: usize) -> VMVerdict;

/// Sets `len` bytes from `dst` on to the low byte of `byte`.
pub type VMFillBytes = unsafe extern "C" fn(dst: *mut u8, byte: u32, len: usize) -> VMVerdict;

/// Sets `len` bytes from `dst` on to `word` over and over. The word repeats an element of 1, 2, 4 or 8 bytes, of which the
/// length is a multiple, and the address too.
pub type VMFillWords = unsafe extern "C" fn(dst: *mut u8, word: u64, len: usize) -> VMVerdict;

/// The same for an element of two words; the address is a multiple of 8.
pub type VMFillPairs =
    unsafe extern "C" fn(dst: *mut u8, low: u64, len: usize, high: u64) -> VMVerdict;

/// The most bytes that compiled code copies or fills by one call of a routine. More are a builtin's,
/// which asks between pieces of that size whether the guest is to be interrupted: a few milliseconds
/// where all pages are touched for the first time.
pub const ROUTINE_LIMIT: usize = 4 << 20;
