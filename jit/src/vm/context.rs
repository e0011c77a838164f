//! The two contexts: one per instance, one per store.

use super::{VMBuiltins, VMSlot};
use std::ffi::c_void;
use std::sync::atomic::AtomicU64;

/// The head of an instance's context; the arrays that [`super::VMOffsets`] describes follow it.
///
/// A pointer to it is the first argument of every compiled function. All its fields are written
/// once, before the instance runs: compiled code may keep what it has read.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct VMContext {
    /// The store's part that compiled code uses.
    pub store_context: *mut VMStoreContext,
    /// The runtime's functions.
    pub builtins: *const VMBuiltins,
    /// Where the code of the module's own functions starts, by defined function index.
    pub slots: *const VMSlot,
    /// The engine's id of each of the module's types, by type index.
    pub type_ids: *const u32,
    /// The engine's epoch.
    pub epoch: *const AtomicU64,
    /// The runtime's instance, which this crate never looks into.
    pub instance: *mut c_void,
}

/// The state of a store that compiled code reads or writes.
///
/// Only the thread that currently runs the store touches it.
#[derive(Debug)]
#[repr(C)]
pub struct VMStoreContext {
    /// The lowest stack address that compiled code may use; a prologue that would go below traps.
    pub stack_limit: usize,
    /// Compiled code calls `new_epoch` once the engine's epoch has reached this.
    pub epoch_deadline: u64,
    /// The frame pointer of the last wasm frame before the host was called.
    pub exit_fp: usize,
    /// The address in that frame's function which the host returns to.
    pub exit_pc: usize,
    /// The frame pointer of the trampoline through which wasm was last entered.
    pub entry_fp: usize,
    /// The stack pointer of that trampoline.
    pub entry_sp: usize,
    /// Where that trampoline goes on after a trap.
    pub entry_handler: usize,
    /// The instance that last made a call which may lead to a host function: written before each
    /// call of an import and each indirect call, read by the trampoline to the host.
    pub caller_vmctx: *mut VMContext,
    /// The runtime's store, which this crate never looks into.
    pub store: *mut c_void,
}
