//! The runtime's functions that compiled code calls.
//!
//! Each consists of a shim, which notes the frame that wasm was left in, and a Rust function that
//! works on the store and unwinds if it fails.

use super::arch::builtin_shim;
use super::{atomics, exceptions, unwind};
use crate::entities::{discard_memory, grow_memory, grow_table};
use crate::error::Result;
use crate::gc::{self, RawRef};
use crate::instance::{InstanceData, init};
use crate::store::StoreOpaque;
use crate::trap::{TrapCode, TrapReason};
use seqfault_jit::vm::{VMBuiltins, VMContext, VMHostContext};
use seqfault_mm::{Fault, FaultKind, Region};

/// The table of builtins, for contexts.
pub(crate) fn builtins() -> *const VMBuiltins {
    static BUILTINS: VMBuiltins = VMBuiltins {
        memory_grow: memory_grow_shim as *const u8,
        memory_copy: memory_copy_shim as *const u8,
        memory_fill: memory_fill_shim as *const u8,
        memory_init: memory_init_shim as *const u8,
        memory_discard: memory_discard_shim as *const u8,
        memory_atomic_wait32: memory_atomic_wait32_shim as *const u8,
        memory_atomic_wait64: memory_atomic_wait64_shim as *const u8,
        memory_atomic_notify: memory_atomic_notify_shim as *const u8,
        data_drop: data_drop_shim as *const u8,
        table_grow: table_grow_shim as *const u8,
        table_fill: table_fill_shim as *const u8,
        table_copy: table_copy_shim as *const u8,
        table_init: table_init_shim as *const u8,
        elem_drop: elem_drop_shim as *const u8,
        gc_alloc: gc_alloc_shim as *const u8,
        array_new_data: array_new_data_shim as *const u8,
        array_new_elem: array_new_elem_shim as *const u8,
        array_init_data: array_init_data_shim as *const u8,
        array_init_elem: array_init_elem_shim as *const u8,
        array_copy: array_copy_shim as *const u8,
        new_epoch: new_epoch_shim as *const u8,
        // Called by exit trampolines, which have noted the frame already.
        raise: raise as *const u8,
        throw: throw_shim as *const u8,
        throw_ref: throw_ref_shim as *const u8,
    };
    &BUILTINS
}

builtin_shim!(memory_grow_shim => memory_grow);
builtin_shim!(memory_copy_shim => memory_copy);
builtin_shim!(memory_fill_shim => memory_fill);
builtin_shim!(memory_init_shim => memory_init);
builtin_shim!(memory_discard_shim => memory_discard);
builtin_shim!(memory_atomic_wait32_shim => atomics::memory_atomic_wait32);
builtin_shim!(memory_atomic_wait64_shim => atomics::memory_atomic_wait64);
builtin_shim!(memory_atomic_notify_shim => atomics::memory_atomic_notify);
builtin_shim!(data_drop_shim => data_drop);
builtin_shim!(table_grow_shim => table_grow);
builtin_shim!(table_fill_shim => table_fill);
builtin_shim!(table_copy_shim => table_copy);
builtin_shim!(table_init_shim => table_init);
builtin_shim!(elem_drop_shim => elem_drop);
builtin_shim!(gc_alloc_shim => gc_alloc);
builtin_shim!(array_new_data_shim => array_new_data);
builtin_shim!(array_new_elem_shim => array_new_elem);
builtin_shim!(array_init_data_shim => array_init_data);
builtin_shim!(array_init_elem_shim => array_init_elem);
builtin_shim!(array_copy_shim => array_copy);
builtin_shim!(new_epoch_shim => new_epoch);
builtin_shim!(throw_shim => exceptions::throw);
builtin_shim!(throw_ref_shim => exceptions::throw_ref);

/// Runs the body of a builtin for the instance that has called it.
///
/// # Safety
///
/// `vmctx` must be the context of a running instance, and the caller compiled code but for its
/// shim.
pub(super) unsafe fn run<R: Copy>(
    vmctx: *mut VMContext,
    body: impl FnOnce(*mut StoreOpaque, *mut InstanceData) -> Result<R>,
) -> R {
    // SAFETY: the caller's promise; contexts point to their store and instance.
    unsafe {
        let store: *mut StoreOpaque = (*(*vmctx).store_context).store.cast();
        let instance: *mut InstanceData = (*vmctx).instance.cast();
        unwind::catch_or_unwind(store, || body(store, instance))
    }
}

/// The trap that a fault of the runtime's own access means to the guest.
pub(crate) fn trap_of(fault: Fault) -> TrapReason {
    TrapReason(match fault.kind {
        FaultKind::ResidentLimit => TrapCode::ResidentLimit,
        FaultKind::OutOfMemory => TrapCode::OutOfMemory,
        _ => TrapCode::MemoryOutOfBounds,
    })
}

const OUT_OF_BOUNDS: TrapReason = TrapReason(TrapCode::MemoryOutOfBounds);

unsafe extern "C" fn memory_grow(vmctx: *mut VMContext, memory: u32, delta: u64) -> i64 {
    // SAFETY: called by compiled code; nothing borrows the store while that runs.
    unsafe {
        run(vmctx, |store, instance| {
            let old = grow_memory(store, (*instance).memory(memory), delta)?;
            Ok(old.map_or(-1, |old| old as i64))
        })
    }
}

unsafe extern "C" fn memory_copy(
    vmctx: *mut VMContext,
    to: u32,
    to_addr: u64,
    from: u32,
    from_addr: u64,
    len: u64,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            let to = (*store).memory((*instance).memory(to));
            let from = (*store).memory((*instance).memory(from));
            let source = from.range(from_addr, len).ok_or(OUT_OF_BOUNDS)?;
            let target = to.range(to_addr, len).ok_or(OUT_OF_BOUNDS)?;
            let (to, from) = ((to.region(), target.start), (from.region(), source.start));
            Ok(Region::copy(to, from, source.len()).map_err(trap_of)?)
        });
    }
}

unsafe extern "C" fn memory_fill(
    vmctx: *mut VMContext,
    memory: u32,
    addr: u64,
    byte: u32,
    len: u64,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            let memory = (*store).memory((*instance).memory(memory));
            let range = memory.range(addr, len).ok_or(OUT_OF_BOUNDS)?;
            let filled = memory.region().fill(range.start, byte as u8, range.len());
            Ok(filled.map_err(trap_of)?)
        });
    }
}

unsafe extern "C" fn memory_init(
    vmctx: *mut VMContext,
    memory: u32,
    segment: u32,
    addr: u64,
    from: u32,
    len: u32,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            init::memory_init(&*store, &*instance, memory, segment, addr, from, len)
        });
    }
}

unsafe extern "C" fn memory_discard(vmctx: *mut VMContext, memory: u32, addr: u64, len: u64) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| discard_memory(store, (*instance).memory(memory), addr, len));
    }
}

unsafe extern "C" fn data_drop(vmctx: *mut VMContext, segment: u32) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |_, instance| {
            (*instance).drop_data(segment);
            Ok(())
        });
    }
}

unsafe extern "C" fn table_grow(vmctx: *mut VMContext, table: u32, delta: u64, value: u64) -> i64 {
    // SAFETY: as in `memory_grow`; the value is a reference of the running store.
    unsafe {
        run(vmctx, |store, instance| {
            let old = grow_table(store, (*instance).table(table), delta, value)?;
            Ok(old.map_or(-1, |old| old as i64))
        })
    }
}

unsafe extern "C" fn table_fill(
    vmctx: *mut VMContext,
    table: u32,
    index: u64,
    value: u64,
    len: u64,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            let table = (*store).table_mut((*instance).table(table));
            let range = table.range(index, len)?;
            table.elements_mut()[range].fill(value);
            Ok(())
        });
    }
}

unsafe extern "C" fn table_copy(
    vmctx: *mut VMContext,
    to: u32,
    to_index: u64,
    from: u32,
    from_index: u64,
    len: u64,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            let (to, from) = ((*instance).table(to), (*instance).table(from));
            match (*store).two_tables(to, from) {
                Ok([to, from]) => {
                    let source = from.range(from_index, len)?;
                    let target = to.range(to_index, len)?;
                    to.elements_mut()[target].copy_from_slice(&from.elements()[source]);
                }
                Err(one) => {
                    let source = one.range(from_index, len)?;
                    let target = one.range(to_index, len)?;
                    one.elements_mut().copy_within(source, target.start);
                }
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn table_init(
    vmctx: *mut VMContext,
    table: u32,
    segment: u32,
    index: u64,
    from: u32,
    len: u32,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            init::table_init(&mut *store, &*instance, table, segment, index, from, len)
        });
    }
}

unsafe extern "C" fn elem_drop(vmctx: *mut VMContext, segment: u32) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |_, instance| {
            (*instance).drop_elements(segment);
            Ok(())
        });
    }
}

unsafe extern "C" fn gc_alloc(vmctx: *mut VMContext, ty: u32, size: u64, len: u32) -> RawRef {
    // SAFETY: as in `memory_grow`; compiled code keeps its references where stack maps tell.
    unsafe { run(vmctx, |store, _| gc::allocate(store, ty, size, len)) }
}

unsafe extern "C" fn array_new_data(
    vmctx: *mut VMContext,
    ty: u32,
    segment: u32,
    from: u32,
    len: u32,
) -> RawRef {
    // SAFETY: as in `gc_alloc`.
    unsafe {
        run(vmctx, |store, instance| {
            gc::builtins::array_new_data(store, instance, ty, segment, from, len)
        })
    }
}

unsafe extern "C" fn array_new_elem(
    vmctx: *mut VMContext,
    ty: u32,
    segment: u32,
    from: u32,
    len: u32,
) -> RawRef {
    // SAFETY: as in `gc_alloc`.
    unsafe {
        run(vmctx, |store, instance| {
            gc::builtins::array_new_elem(store, instance, ty, segment, from, len)
        })
    }
}

unsafe extern "C" fn array_init_data(
    vmctx: *mut VMContext,
    ty: u32,
    segment: u32,
    array: RawRef,
    index: u32,
    from: u32,
    len: u32,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            let (store, to) = (&*store, (array, index));
            gc::builtins::array_init_data(store, &*instance, ty, segment, to, from, len)
        });
    }
}

unsafe extern "C" fn array_init_elem(
    vmctx: *mut VMContext,
    ty: u32,
    segment: u32,
    array: RawRef,
    index: u32,
    from: u32,
    len: u32,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, instance| {
            let (store, to) = (&*store, (array, index));
            gc::builtins::array_init_elem(store, &*instance, ty, segment, to, from, len)
        });
    }
}

unsafe extern "C" fn array_copy(
    vmctx: *mut VMContext,
    to: RawRef,
    to_index: u32,
    from: RawRef,
    from_index: u32,
    len: u32,
    size: u32,
) {
    // SAFETY: as in `memory_grow`.
    unsafe {
        run(vmctx, |store, _| {
            gc::builtins::array_copy(&*store, (to, to_index), (from, from_index), len, size)
        });
    }
}

unsafe extern "C" fn new_epoch(vmctx: *mut VMContext) {
    // SAFETY: as in `memory_grow`.
    unsafe { run(vmctx, |store, _| StoreOpaque::whole(store).new_epoch()) };
}

/// A host function has left an error in the store.
unsafe extern "C" fn raise(context: *mut VMHostContext) {
    // SAFETY: called by an exit trampoline; only it is between here and the wasm frames.
    unsafe {
        let store: *mut StoreOpaque = (*(*context).store_context).store.cast();
        exceptions::throw_pending(store);
        unwind::unwind(store)
    }
}
