//! What a context refers to: functions, memories, tables, globals, tags.

use super::VMContext;
use std::sync::atomic::{AtomicPtr, AtomicUsize};

/// The address of the code of one function.
///
/// Every call goes through it. At first it points to a lazy entry, later to the compiled code. It
/// is written with Release when code is published. A compiled call loads it plainly and jumps,
/// which is ordered by the dependency of the jump on the load (and, where instruction caches are
/// not coherent, by the cache maintenance before publication).
#[derive(Debug)]
#[repr(transparent)]
pub struct VMSlot(pub AtomicPtr<u8>);

/// A function as a value: what `funcref` points to.
///
/// Those of an instance's own functions are made when they are first needed, and then never change.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMFuncRef {
    /// The slot of its code.
    pub slot: *const VMSlot,
    /// Its first argument: its instance's context (or a host function's own).
    pub vmctx: *mut VMContext,
    /// The engine's id of its type, compared by `call_indirect`; [`UNMADE`](super::UNMADE) in what
    /// stands for a reference in an element that has not been read.
    pub type_id: u32,
}

/// An imported function, ready to be called.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMFunctionImport {
    /// As in [`VMFuncRef::slot`].
    pub slot: *const VMSlot,
    /// As in [`VMFuncRef::vmctx`].
    pub vmctx: *mut VMContext,
    /// The function as a value, for `ref.func`.
    pub func_ref: *const VMFuncRef,
}

/// A linear memory.
#[derive(Debug)]
#[repr(C)]
pub struct VMMemory {
    /// Its first byte. Never changes: memories do not move.
    pub base: *mut u8,
    /// Its length in bytes. Only rises; other threads may read it while one of them grows it.
    pub len: AtomicUsize,
}

/// A memory as an instance refers to it, with a copy of the base, which never changes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMMemoryRef {
    /// A copy of [`VMMemory::base`].
    pub base: *mut u8,
    /// The memory itself, for its length.
    pub definition: *const VMMemory,
}

/// A table. Elements are 8 bytes: a `*const VMFuncRef` or a zero-extended 32-bit reference of the heap.
///
/// In a table that an instance defines, elements may refer to functions of that instance which have not been made. They
/// are made, in place, before they are used or go elsewhere.
#[derive(Debug)]
#[repr(C)]
pub struct VMTable {
    /// Its first element. Changes when the table grows.
    pub base: *mut u64,
    /// Elements in it now.
    pub len: usize,
    /// Whether elements may refer to functions that are not made. It may become false.
    pub unmade: bool,
}

/// A global: 16 bytes, the value in the first ones.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct VMGlobal {
    /// The value, as in [`ValRaw`].
    pub bytes: [u8; 16],
}

/// A tag. Its address is its identity.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct VMTag {
    /// The engine's id of its type, as that of a function.
    pub type_id: u32,
    /// How many values an exception with it carries.
    pub values: u32,
}

/// A value in the array through which the host passes arguments and takes results.
///
/// Little-endian, in the low bytes: `i32`, `i64`, `f32`, `f64`, `v128`, `funcref` as a
/// `*const VMFuncRef`, other references as 32 bits (0 is null).
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub union ValRaw {
    /// `i32` and references of the heap.
    pub i32: i32,
    /// `i64`.
    pub i64: i64,
    /// The bits of an `f32`.
    pub f32: u32,
    /// The bits of an `f64`.
    pub f64: u64,
    /// `v128`.
    pub v128: u128,
    /// `funcref`.
    pub func_ref: *const VMFuncRef,
}

impl std::fmt::Debug for ValRaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValRaw")
    }
}
