//! Compiles functions when they are first called: the stubs call this, on the calling thread.

use super::{frames, unwind};
use crate::func::HostFuncInstance;
use crate::module::Module;
use crate::store::StoreOpaque;
use seqfault_jit::code::lazy_entry_at;
use seqfault_jit::vm::{REGISTER_RESULTS, VMContext, VMHostContext, VMStoreContext};
use std::sync::atomic::Ordering;

/// The frame that a stub has made: its caller's frame pointer and return address.
#[repr(C)]
pub(super) struct StubFrame {
    caller_fp: usize,
    return_address: usize,
}

/// Compiles the function whose lazy entry has pushed `return_address`. Returns the address of its
/// code. `first` is the value that its caller has passed in the register of the first argument: the
/// context, unless the results need more than registers; then it is the address of the results.
///
/// # Safety
///
/// Called by the stub only.
pub(super) unsafe extern "C" fn compile_function(
    return_address: usize,
    first: *mut VMContext,
    frame: *const StubFrame,
) -> *const u8 {
    // SAFETY: pushed by an entry of a module that the running store uses; the stub's frame is on the
    // stack.
    unsafe {
        let (owner, index) = lazy_entry_at(return_address);
        let context = match Module::from_owner(owner).defined_results(index) {
            0..=REGISTER_RESULTS => (*first).store_context,
            _ => running_store(frame),
        };
        let store = note_exit(context, frame);
        unwind::catch_or_unwind(store, || Module::from_owner(owner).compile_now(index))
    }
}

/// The store that the caller of a stub runs in.
///
/// # Safety
///
/// `frame` must be that of a stub.
unsafe fn running_store(frame: *const StubFrame) -> *mut VMStoreContext {
    // SAFETY: the caller's promise: it was called by compiled code, with that frame.
    let store = unsafe {
        // The return address is the instruction after the call.
        frames::running_store((*frame).return_address.wrapping_sub(1), (*frame).caller_fp)
    };
    store.unwrap_or_else(|| frames::broken("they do not lead to where the store was entered"))
}

/// Compiles the exit trampoline of a host function. Returns the address of its code.
///
/// # Safety
///
/// Called by the stub only.
pub(super) unsafe extern "C" fn compile_exit(
    context: *mut VMHostContext,
    frame: *const StubFrame,
) -> *const u8 {
    // SAFETY: the context comes first in its instance, which the running store owns.
    unsafe {
        let store = note_exit((*context).store_context, frame);
        let instance = context.cast::<HostFuncInstance>();
        unwind::catch_or_unwind(store, || {
            let engine = (*store).engine();
            let code = (*instance).registered_type().exit(engine)?;
            // Release: a thread that reads the slot finds the code complete.
            (*instance).slot().0.store(code.cast_mut(), Ordering::Release);
            Ok(code)
        })
    }
}

/// Records the wasm frame that was left, for backtraces. Returns the running store.
///
/// # Safety
///
/// `frame` must be that of a stub, and `context` that of the store which its caller runs in.
unsafe fn note_exit(context: *mut VMStoreContext, frame: *const StubFrame) -> *mut StoreOpaque {
    // SAFETY: the store is alive, since its wasm runs; the stub's frame is on the stack.
    unsafe {
        (*context).exit_fp = (*frame).caller_fp;
        (*context).exit_pc = (*frame).return_address;
        (*context).store.cast()
    }
}
