//! From the host into wasm.

use super::activation::Activation;
use super::unwind;
use crate::error::Result;
use crate::store::StoreOpaque;
use seqfault_jit::vm::{EntryTrampoline, VMFuncRef, VMStoreContext, ValRaw};
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
    seqfault_mm::ensure_alt_stack()?;
    // SAFETY: the caller's promise.
    let (vm, activation) = unsafe { ((*store).vm(), Activation::new(store)) };
    // SAFETY: the store is alive, and only this thread uses its context.
    unsafe {
        let max_wasm_stack = (*store).engine().config().max_wasm_stack;
        (*vm).stack_limit = stack_limit(vm, max_wasm_stack);
        (*vm).caller_vmctx = std::ptr::null_mut();
    }
    let returned = activation.run(|| {
        // SAFETY: a function of a live store; Acquire pairs with the Release that publishes code.
        let (callee, code) = unsafe { ((*func).vmctx, (*(*func).slot).0.load(Ordering::Acquire)) };
        // SAFETY: the caller's promise. The trampoline returns, whatever happens inside.
        unsafe { entry(callee, vm, code, values) }
    });
    if returned != 0 {
        return Ok(());
    }
    // SAFETY: wasm has been left, so nothing borrows the store.
    unsafe { unwind::resume(&mut *store) }
}

/// The lowest address that wasm, entered now, may use of the stack that this runs on.
///
/// An entry nested in others of the store on the same stack keeps their limit: together they may
/// use what one may. A host function may also have gone on to another stack, of another thread or
/// its own; that has a limit of its own.
///
/// # Safety
///
/// `vm` must be alive.
unsafe fn stack_limit(vm: *const VMStoreContext, max_wasm_stack: usize) -> usize {
    let marker = 0u8;
    let here = std::ptr::from_ref(&marker) as usize;
    let bounds = seqfault_mm::stack_bounds();
    // SAFETY: the caller's promise.
    let (outer_fp, outer_limit) = unsafe { ((*vm).entry_fp, (*vm).stack_limit) };
    let deepest = here.saturating_sub(max_wasm_stack);
    if bounds.contains(&here) {
        return match bounds.contains(&outer_fp) {
            true => outer_limit,
            false => deepest.max(bounds.start + HOST_RESERVE),
        };
    }
    // A stack that the thread has not come with: its bounds are not known, only where the outer
    // entry was, if that was on it.
    let of_outer = outer_limit.saturating_sub(HOST_RESERVE)..outer_fp;
    match of_outer.contains(&here) {
        true => outer_limit,
        false => deepest,
    }
}
