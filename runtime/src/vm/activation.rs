//! Activations: a store's chain of entries into wasm.
//!
//! Each entry into wasm notes itself in its store, not in its thread: a store may be lent to another
//! thread by a host function, and guests of several stores may take turns on stacks of their own.
//! Wherever they lie, the entries of one store nest. The innermost hangs from the store, and each
//! keeps where the store was entered and left before.

use super::frames;
use crate::store::StoreOpaque;
use seqfault_jit::vm::VMStoreContext;
use std::iter;

/// One entry into wasm, on the stack that it was made on.
pub(crate) struct Activation {
    /// The one around it in the same store, or null.
    previous: *const Activation,
    /// Where the store was entered and left before this one.
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
    /// Those of the innermost activation.
    ///
    /// # Safety
    ///
    /// `vm` must be alive, and not be written meanwhile.
    pub(super) unsafe fn of(vm: *const VMStoreContext) -> Frames {
        // SAFETY: the caller's promise; each field is read for itself.
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
        // SAFETY: the caller's promise; each field is written for itself.
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

/// Runs `f`, which may enter wasm, in a new activation of the store. What it changes in the store's
/// [`Frames`] is put back when it returns, and also when it panics.
///
/// Whoever is called by that wasm finds the store by the pointer given here, so that it borrows the store
/// from the borrow which the pointer comes from, and not beside it.
///
/// # Safety
///
/// `store` must be alive until then, and `f` run by whoever may use it.
pub(super) unsafe fn within<R>(store: *mut StoreOpaque, f: impl FnOnce() -> R) -> R {
    // SAFETY: the caller's promise.
    let (vm, previous) = unsafe { ((*store).vm(), (*store).activation()) };
    // SAFETY: whoever may use the store has its context for itself.
    let (saved, outer_store) = unsafe { (Frames::of(vm), (*vm).store.cast()) };
    let activation = Activation { previous, saved, outer_store };
    // SAFETY: the activation stays where it is until `leave` has taken it out of the chain.
    unsafe {
        (*store).set_activation(&activation);
        (*vm).store = store.cast();
    }
    let leave = Leave { store, activation: &activation };
    let result = f();
    drop(leave);
    result
}

/// Takes an activation out of its store's chain.
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
        // SAFETY: null, or on the stack of whoever has lent the store to the caller: `within` takes
        // each one out of the chain before it goes.
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
