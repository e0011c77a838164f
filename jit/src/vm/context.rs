//! The two contexts: one per instance, one per store.

use super::{VMBuiltins, VMSlot, VMTypes, ValRaw};
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

/// The head of an instance's context. The arrays that [`super::VMOffsets`] describes follow it.
///
/// Every compiled function gets a pointer to it as the first argument. All its fields are written
/// once, before the instance runs, so compiled code may keep values that it has read.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct VMContext {
    /// The part of the store that compiled code uses.
    pub store_context: *mut VMStoreContext,
    /// The runtime's functions.
    pub builtins: *const VMBuiltins,
    /// The addresses of the code of the module's own functions, by defined function index.
    pub slots: *const VMSlot,
    /// The engine's id of each of the module's types, by type index.
    pub type_ids: *const u32,
    /// The engine's types.
    pub types: *const VMTypes,
    /// The engine's epoch.
    pub epoch: *const AtomicU64,
    /// The bytes of the module's binary, which data segments are ranges of.
    pub bytes: *const u8,
    /// The runtime's instance, which this crate never accesses.
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
    /// Compiled code calls `new_epoch` once the engine's epoch has reached this. It is outside of
    /// the store, because other threads change it to interrupt the store; the pointer is constant.
    pub epoch_deadline: *const AtomicU64,
    /// The frame pointer of the last wasm frame before the host was called.
    pub exit_fp: usize,
    /// The address in that frame's function to which the host returns.
    pub exit_pc: usize,
    /// The frame pointer of the trampoline through which wasm was last entered.
    pub entry_fp: usize,
    /// The stack pointer of that trampoline.
    pub entry_sp: usize,
    /// Where that trampoline continues after a trap.
    pub entry_handler: usize,
    /// The instance that last made a call which may reach a host function. Written before each call
    /// of an import and each indirect call, read by the trampoline to the host.
    pub caller_vmctx: *mut VMContext,
    /// The base of the heap of objects, once there is one. Never moves.
    pub gc_heap_base: *mut u8,
    /// The offset in the heap of the next object.
    pub gc_next: u64,
    /// The end of the room for objects.
    pub gc_limit: u64,
    /// The runtime's store, which this crate never accesses; null while its wasm is not entered.
    pub store: *mut c_void,
}

/// The context of a host function: the first argument of its exit trampoline.
///
/// It starts like a [`VMContext`], so that code which handles any callee finds the store.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct VMHostContext {
    /// As in [`VMContext::store_context`].
    pub store_context: *mut VMStoreContext,
    /// As in [`VMContext::builtins`].
    pub builtins: *const VMBuiltins,
    /// The host's function.
    pub function: HostFunction,
    /// Data for the host's function.
    pub data: *mut c_void,
}

const _: () = {
    assert!(offset_of!(VMContext, store_context) == offset_of!(VMHostContext, store_context));
    assert!(offset_of!(VMContext, builtins) == offset_of!(VMHostContext, builtins));
};

/// A function of the host, called by its exit trampoline: its context, then the array that holds
/// the arguments and takes the results. Returns 1, or 0 after it has left an error in the store.
pub type HostFunction = unsafe extern "C" fn(*mut VMHostContext, *mut ValRaw) -> u32;

/// The trampoline into wasm for one function type. Arguments: the callee's context, its store, its
/// code, and the array that holds the arguments and takes the results. Returns 1, or 0 after a
/// trap.
pub type EntryTrampoline = unsafe extern "C" fn(
    callee: *mut VMContext,
    store: *mut VMStoreContext,
    code: *const u8,
    values: *mut ValRaw,
) -> u32;
