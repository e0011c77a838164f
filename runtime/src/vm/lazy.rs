//! Compiling what is called for the first time: called by the stubs, on the thread that calls.

use super::activation::Activation;
use super::unwind;
use crate::func::HostFuncInstance;
use crate::module::Module;
use crate::store::StoreOpaque;
use seqfault_jit::code::lazy_entry_at;
use seqfault_jit::vm::VMHostContext;
use std::sync::atomic::Ordering;

/// The frame that a stub has made: its caller's frame pointer and return address.
#[repr(C)]
pub(super) struct StubFrame {
    caller_fp: usize,
    return_address: usize,
}

/// Compiles the function whose lazy entry has pushed `return_address`; where its code starts.
///
/// # Safety
///
/// Called by the stub only.
pub(super) unsafe extern "C" fn compile_function(
    return_address: usize,
    frame: *const StubFrame,
) -> *const u8 {
    // SAFETY: pushed by an entry of a module that the running store uses.
    unsafe {
        let (owner, index) = lazy_entry_at(return_address);
        let store = note_exit(frame);
        unwind::catch_or_unwind(store, || Module::from_owner(owner).compile_now(index))
    }
}

/// Compiles the exit trampoline of a host function; where its code starts.
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
        let store = note_exit(frame);
        let instance = context.cast::<HostFuncInstance>();
        unwind::catch_or_unwind(store, || {
            let engine = (*store).engine();
            let code = (*instance).registered_type().exit(engine)?;
            // Release: whoever reads the slot finds the code complete.
            (*instance).slot().0.store(code.cast_mut(), Ordering::Release);
            Ok(code)
        })
    }
}

/// Notes the wasm frame that was left, for backtraces; the running store.
///
/// # Safety
///
/// `frame` must be that of a stub.
unsafe fn note_exit(frame: *const StubFrame) -> *mut StoreOpaque {
    let store = Activation::current().expect("wasm is running").store();
    // SAFETY: the store is alive; the stub's frame is on the stack.
    unsafe {
        let vm = (*store).vm();
        (*vm).exit_fp = (*frame).caller_fp;
        (*vm).exit_pc = (*frame).return_address;
    }
    store
}
