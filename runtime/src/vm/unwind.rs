//! Leaving wasm other than by returning: takes errors and panics to the caller of wasm.
//!
//! They are left in the store, and control goes to the exceptional edge of the entry trampoline.
//! The Rust frames in between are those of this module and its callers; they hold nothing that
//! needs dropping.

use super::{arch, backtrace};
use crate::error::{Error, Result};
use crate::store::{Pending, StoreOpaque};
use crate::trap::Trap;
use std::panic::{self, AssertUnwindSafe};

/// Runs host code that wasm has called. Returns 1, or 0 after its error or panic has been left in
/// the store.
///
/// # Safety
///
/// `store` must be alive, with its exit frame recorded, and not borrowed once `body` has returned.
#[inline(always)]
pub(crate) unsafe fn catch(store: *mut StoreOpaque, body: impl FnOnce() -> Result<()>) -> u32 {
    // SAFETY: the caller's promise.
    match unsafe { catch_value(store, body) } {
        Some(()) => 1,
        None => 0,
    }
}

/// Runs a builtin's body; does not return if that fails.
///
/// # Safety
///
/// As for [`catch`]; and no frame between the innermost wasm frame and this call may hold anything
/// that needs dropping.
pub(super) unsafe fn catch_or_unwind<R: Copy>(
    store: *mut StoreOpaque,
    body: impl FnOnce() -> Result<R>,
) -> R {
    // SAFETY: the caller's promise.
    match unsafe { catch_value(store, body) } {
        Some(value) => value,
        // SAFETY: the caller's promise.
        None => unsafe { unwind(store) },
    }
}

// Each host function and builtin has a copy of this on its way, so the failures are elsewhere: with
// them the compiler no longer inlines it, and a call of a host function costs half as much again.
#[inline(always)]
unsafe fn catch_value<R>(store: *mut StoreOpaque, body: impl FnOnce() -> Result<R>) -> Option<R> {
    // What a panic leaves behind is either dropped with the store or checked by its users.
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            // SAFETY: the caller's promise.
            unsafe { keep_error(store, error) };
            None
        }
        Err(payload) => {
            // SAFETY: the body has returned, so its borrows have ended.
            unsafe { (*store).set_pending(Pending::Panic(payload)) };
            None
        }
    }
}

/// Leaves the error, with its backtrace, in the store.
///
/// # Safety
///
/// As for [`catch`], after `body` has returned.
#[cold]
#[inline(never)]
unsafe fn keep_error(store: *mut StoreOpaque, error: Error) {
    // SAFETY: the caller's promise.
    let error = unsafe { with_backtrace(store, error) };
    // SAFETY: the body has returned, so its borrows have ended.
    unsafe { (*store).set_pending(Pending::Error(error)) };
}

/// Adds the wasm frames, unless an inner call has added them.
unsafe fn with_backtrace(store: *mut StoreOpaque, mut error: Error) -> Error {
    // SAFETY: the caller's promise: the exit frame is recorded.
    if let Some(trap) = Trap::of(&error, || unsafe { backtrace::at_exit(store) }) {
        return trap.into();
    }
    if error.wants_backtrace() && error.trap().is_none() {
        // SAFETY: as above.
        error.attach_backtrace(unsafe { backtrace::at_exit(store) });
    }
    error
}

/// Continues at the entry of wasm, where [`resume`] finds the pending error or panic.
///
/// # Safety
///
/// Wasm of `store` must be on the stack, and no frame above it may hold anything that needs
/// dropping.
pub(super) unsafe fn unwind(store: *mut StoreOpaque) -> ! {
    // SAFETY: the caller's promise.
    debug_assert!(unsafe { !(*store).activation().is_null() });
    // SAFETY: the entry trampoline has recorded its own frame, which is on the stack.
    unsafe {
        let vm = (*store).vm();
        arch::continue_at((*vm).entry_handler, (*vm).entry_sp, (*vm).entry_fp)
    }
}

/// After an exceptional return: returns the error, or resumes the panic.
pub(super) fn resume(store: &mut StoreOpaque) -> Result<()> {
    match store.take_pending().expect("unwinding leaves its reason") {
        Pending::Error(error) => Err(error),
        Pending::Panic(payload) => panic::resume_unwind(payload),
    }
}
