//! From the host into wasm.

use super::activation::{Activation, Frames};
use super::unwind;
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
    seqfault_mm::ensure_alt_stack()?;
    // SAFETY: the caller's promise.
    let (vm, activation) = unsafe { ((*store).vm(), Activation::new(store)) };
    // SAFETY: the store is alive, and only this thread uses its context.
    unsafe {
        if Frames::of(vm).is_outermost() {
            (*vm).stack_limit = stack_limit((*store).engine().config().max_wasm_stack);
        }
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

/// The lowest address that wasm, entered now, may use on this thread's stack.
fn stack_limit(max_wasm_stack: usize) -> usize {
    let marker = 0u8;
    let here = std::ptr::from_ref(&marker) as usize;
    let lowest = seqfault_mm::stack_bounds().start + HOST_RESERVE;
    here.saturating_sub(max_wasm_stack).max(lowest)
}
