//! Entering wasm from the host.

use super::activation::{self, Frames};
use super::{signals, unwind};
use crate::error::Result;
use crate::store::StoreOpaque;
use seqfault_jit::vm::{EntryTrampoline, VMFuncRef, ValRaw};
use std::sync::atomic::Ordering;

/// Stack that is kept for the host below wasm's limit: for host functions and the runtime itself.
/// Compilations get a stack of their own where this would not suffice.
const HOST_RESERVE: usize = 128 << 10;

/// Calls a function of a store.
///
/// # Safety
///
/// `store` must be alive and not borrowed elsewhere; `func` one of its functions; `entry` the
/// trampoline of its type; `values` must hold the arguments and have room for the results.
pub(crate) unsafe fn enter(
    store: *mut StoreOpaque,
    entry: EntryTrampoline,
    func: *const VMFuncRef,
    values: *mut ValRaw,
) -> Result<()> {
    // SAFETY: the caller's promise.
    signals::prepare(unsafe { (*store).engine().config() })?;
    // SAFETY: the caller's promise.
    let (vm, stack_limit) = unsafe {
        let max_wasm_stack = (*store).engine().config().max_wasm_stack.unwrap_or(0);
        ((*store).vm(), stack_limit(store, max_wasm_stack))
    };
    let run = || {
        // SAFETY: the store is alive, and only this thread uses its context; the function belongs
        // to it. Acquire pairs with the Release that publishes code.
        let (callee, code) = unsafe {
            (*vm).stack_limit = stack_limit;
            (*vm).caller_vmctx = std::ptr::null_mut();
            ((*func).vmctx, (*(*func).slot).0.load(Ordering::Acquire))
        };
        // SAFETY: the caller's promise. The trampoline returns, whatever happens inside.
        unsafe { entry(callee, vm, code, values) }
    };
    // SAFETY: the caller's promise.
    let returned = unsafe { activation::within(store, run) };
    if returned != 0 {
        return Ok(());
    }
    // SAFETY: wasm has been left, so nothing borrows the store.
    unsafe { unwind::resume(&mut *store) }
}

/// The lowest address that wasm, entered now, may use of the present stack.
///
/// Entries of the store that are on the same stack keep the limit of the first: together they may
/// use as much as a single one. A host function may also have switched to another stack, of another
/// thread or a coroutine's; that has a limit of its own.
///
/// # Safety
///
/// `store` must be alive, and the caller may use it.
unsafe fn stack_limit(store: *const StoreOpaque, max_wasm_stack: usize) -> usize {
    let marker = 0u8;
    let here = std::ptr::from_ref(&marker) as usize;
    let bounds = seqfault_mm::stack_bounds();
    let is_known = bounds.contains(&here);
    let is_here = |run: &Frames| match is_known {
        true => bounds.contains(&run.entry_fp),
        // Not the stack that the thread started on: its bounds are not known, only the range in
        // which an entry on it may be.
        false => (run.stack_limit.saturating_sub(HOST_RESERVE)..run.entry_fp).contains(&here),
    };
    // SAFETY: the caller's promise.
    let outer = unsafe { activation::runs(store) }.find(is_here);
    let deepest = here.saturating_sub(max_wasm_stack);
    match outer {
        Some(run) => run.stack_limit,
        None if is_known => deepest.max(bounds.start + HOST_RESERVE),
        None => deepest,
    }
}
