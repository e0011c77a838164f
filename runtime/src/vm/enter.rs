//! From the host into wasm.

use super::activation::{self, Frames};
use super::{signals, unwind};
use crate::error::Result;
use crate::store::StoreOpaque;
use seqfault_jit::vm::{EntryTrampoline, VMFuncRef, ValRaw};
use std::sync::atomic::Ordering;

/// Stack that stays for the host below what wasm may use: for host functions and the runtime
/// itself. Compilations get a stack of their own where this would not do.
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
        let max_wasm_stack = (*store).engine().config().max_wasm_stack;
        ((*store).vm(), stack_limit(store, max_wasm_stack))
    };
    let run = || {
        // SAFETY: the store is alive, and only this thread uses its context; a function of it.
        // Acquire pairs with the Release that publishes code.
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

/// The lowest address that wasm, entered now, may use of the stack that this runs on.
///
/// Entries of the store that are on the same stack keep the limit of the first: together they may use
/// what one may. A host function may also have gone on to another stack, of another thread or its own;
/// that has a limit of its own.
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
        // A stack that the thread has not come with: its bounds are not known, only where an entry
        // on it may be.
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
