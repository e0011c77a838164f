//! Activations: the thread's stack of entries into wasm.
//!
//! The innermost one is in a thread-local cell without initialisation or destructor, so a signal
//! handler may read it.

use crate::store::StoreOpaque;
use crate::trap::TrapCode;
use seqfault_jit::vm::VMStoreContext;
use std::cell::Cell;
use std::ptr;

thread_local! {
    static CURRENT: Cell<*const Activation> = const { Cell::new(ptr::null()) };
}

/// One entry into wasm, on the stack of the thread that made it.
pub(super) struct Activation {
    previous: *const Activation,
    store: *mut StoreOpaque,
    /// The store's entry and exit before this one: those of the last activation in the store.
    saved: Frames,
    /// Set by the signal handler for the code that runs right after it.
    trap: Cell<Option<TrapCode>>,
}

/// Where a store was entered and left.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    pub(super) exit_fp: usize,
    pub(super) exit_pc: usize,
    pub(super) entry_fp: usize,
    entry_sp: usize,
    entry_handler: usize,
    stack_limit: usize,
}

impl Frames {
    /// # Safety
    ///
    /// `vm` must be alive.
    pub(super) unsafe fn of(vm: *const VMStoreContext) -> Frames {
        // SAFETY: the caller's promise; only this thread writes these fields.
        let vm = unsafe { &*vm };
        let &VMStoreContext {
            exit_fp,
            exit_pc,
            entry_fp,
            entry_sp,
            entry_handler,
            stack_limit,
            ..
        } = vm;
        Frames { exit_fp, exit_pc, entry_fp, entry_sp, entry_handler, stack_limit }
    }

    /// # Safety
    ///
    /// `vm` must be alive, and no reference to it.
    unsafe fn restore(self, vm: *mut VMStoreContext) {
        // SAFETY: the caller's promise.
        let vm = unsafe { &mut *vm };
        vm.exit_fp = self.exit_fp;
        vm.exit_pc = self.exit_pc;
        vm.entry_fp = self.entry_fp;
        vm.entry_sp = self.entry_sp;
        vm.entry_handler = self.entry_handler;
        vm.stack_limit = self.stack_limit;
    }

    /// Whether no wasm of the store is on the stack.
    pub(super) fn is_outermost(&self) -> bool {
        self.entry_fp == 0
    }
}

impl Activation {
    /// # Safety
    ///
    /// `store` must be alive.
    pub(super) unsafe fn new(store: *mut StoreOpaque) -> Activation {
        Activation {
            previous: CURRENT.get(),
            store,
            // SAFETY: the caller's promise.
            saved: unsafe { Frames::of((*store).vm()) },
            trap: Cell::new(None),
        }
    }

    /// Runs `f` with this as the thread's innermost activation.
    pub(super) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        CURRENT.set(self);
        let result = f();
        CURRENT.set(self.previous);
        // SAFETY: the store outlives its activations; nothing borrows its context here.
        unsafe { self.saved.restore((*self.store).vm()) };
        result
    }

    /// The innermost activation of the calling thread. Async-signal-safe.
    pub(super) fn current<'a>() -> Option<&'a Activation> {
        // SAFETY: null, or on the stack of a caller of this function: `run` resets it.
        unsafe { CURRENT.get().as_ref() }
    }

    /// The activation around this one.
    pub(super) fn previous(&self) -> Option<&Activation> {
        // SAFETY: on the stack of a caller of this activation's `run`.
        unsafe { self.previous.as_ref() }
    }

    pub(super) fn store(&self) -> *mut StoreOpaque {
        self.store
    }

    pub(super) fn saved(&self) -> Frames {
        self.saved
    }

    pub(super) fn set_trap(&self, code: TrapCode) {
        self.trap.set(Some(code));
    }

    pub(super) fn take_trap(&self) -> Option<TrapCode> {
        self.trap.take()
    }
}
