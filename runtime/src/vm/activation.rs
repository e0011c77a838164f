//! Activations: a store's chain of entries into wasm.
//!
//! Each entry into wasm is recorded in its store, not in its thread: a host function may lend a store to another
//! thread, and guests of several stores may take turns on coroutine stacks. The entries of one store always nest,
//! whatever stacks they are on. The store points to the innermost, and each saves where the store was entered and left
//! before.

use super::frames;
use crate::store::StoreOpaque;
use seqfault_jit::vm::VMStoreContext;
use std::iter;

/// One entry into wasm. It is on the stack on which it was made.
pub(crate) struct Activation {
    /// The activation around it in the same store, or null.
    previous: *const Activation,
    /// Where the store was entered and left before this activation.
    saved: Frames,
    /// The pointer to the store by which it was entered before, or null.
    outer_store: *mut StoreOpaque,
}

/// Where a store was entered and left.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    pub(super) exit_fp: usize,
    pub(super) exit_pc: usize,
    pub(super) entry_fp: usize,
    entry_sp: usize,
    entry_handler: usize,
    pub(super) stack_limit: usize,
}

impl Frames {
    /// The frames of the innermost activation.
    ///
    /// # Safety
    ///
    /// `vm` must be alive, and not be written meanwhile.
    pub(super) unsafe fn of(vm: *const VMStoreContext) -> Frames {
        // SAFETY: the caller's promise; each field is read on its own.
        unsafe {
            Frames {
                exit_fp: (*vm).exit_fp,
                exit_pc: (*vm).exit_pc,
                entry_fp: (*vm).entry_fp,
                entry_sp: (*vm).entry_sp,
                entry_handler: (*vm).entry_handler,
                stack_limit: (*vm).stack_limit,
            }
        }
    }

    /// # Safety
    ///
    /// `vm` must be alive, and its wasm must not run.
    unsafe fn restore(self, vm: *mut VMStoreContext) {
        // SAFETY: the caller's promise; each field is written on its own.
        unsafe {
            (*vm).exit_fp = self.exit_fp;
            (*vm).exit_pc = self.exit_pc;
            (*vm).entry_fp = self.entry_fp;
            (*vm).entry_sp = self.entry_sp;
            (*vm).entry_handler = self.entry_handler;
            (*vm).stack_limit = self.stack_limit;
        }
    }

    /// Whether they are from before any entry: no wasm of the store is on a stack.
    pub(super) fn is_outermost(&self) -> bool {
        self.entry_fp == 0
    }
}

/// Runs `f`, which may enter wasm, in a new activation of the store. The store's [`Frames`] are restored when it
/// returns, and also when it panics.
///
/// Functions that this wasm calls find the store by the pointer given here. So they borrow the store from the borrow
/// that the pointer comes from, and not beside it.
///
/// # Safety
///
/// `store` must be alive until then, and the caller must be allowed to use it in `f`.
pub(super) unsafe fn within<R>(store: *mut StoreOpaque, f: impl FnOnce() -> R) -> R {
    // SAFETY: the caller's promise.
    let (vm, previous) = unsafe { ((*store).vm(), (*store).activation()) };
    // SAFETY: the code that may use the store has exclusive access to its context.
    let (saved, outer_store) = unsafe { (Frames::of(vm), (*vm).store.cast()) };
    let activation = Activation { previous, saved, outer_store };
    // SAFETY: the activation keeps its address until `leave` has removed it from the chain.
    unsafe {
        (*store).set_activation(&activation);
        (*vm).store = store.cast();
    }
    let leave = Leave { store, activation: &activation };
    let result = f();
    drop(leave);
    result
}

/// Removes an activation from its store's chain.
struct Leave<'a> {
    store: *mut StoreOpaque,
    activation: &'a Activation,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // SAFETY: `within` runs around this: the store is alive, and its wasm has been left.
        unsafe {
            let vm = (*self.store).vm();
            (*self.store).set_activation(self.activation.previous);
            self.activation.saved.restore(vm);
            (*vm).store = self.activation.outer_store.cast();
        }
    }
}

/// Where the store was entered and left, for each of its activations, from the innermost outwards.
///
/// # Safety
///
/// `store` must be alive, and nothing may enter or leave its wasm while the iterator is used.
pub(super) unsafe fn runs(store: *const StoreOpaque) -> impl Iterator<Item = Frames> {
    // SAFETY: the caller's promise.
    let (mut frames, mut activation) =
        unsafe { (Frames::of((*store).vm()), (*store).activation()) };
    iter::from_fn(move || {
        let current = frames;
        // SAFETY: null, or on the stack of code that has lent the store to the caller: `within` removes each activation
        // from the chain before it is dropped.
        match (current.is_outermost(), unsafe { activation.as_ref() }) {
            (true, None) => None,
            (false, Some(around)) => {
                (frames, activation) = (around.saved, around.previous);
                Some(current)
            }
            _ => frames::broken("its activations are not those that its context tells of"),
        }
    })
}
