//! The builtins for segments, and for functions as values.
//!
//! # Safety
//!
//! For all functions here: compiled code calls them, so nothing borrows the store; `instance` is
//! the one that the code runs in.

use super::context::InstanceData;
use super::init;
use crate::error::Result;
use crate::store::StoreOpaque;

pub(crate) unsafe fn make_function(
    _: *mut StoreOpaque,
    instance: *mut InstanceData,
    func: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe { &*instance }.func_ref(func);
    Ok(())
}

pub(crate) unsafe fn memory_init(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    memory: u32,
    segment: u32,
    addr: u64,
    from: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe { init::memory_init(store, instance, memory, segment, addr, from, len) }
}

pub(crate) unsafe fn data_drop(
    _: *mut StoreOpaque,
    instance: *mut InstanceData,
    segment: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe { &mut *instance }.drop_data(segment);
    Ok(())
}

pub(crate) unsafe fn table_init(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    table: u32,
    segment: u32,
    index: u64,
    from: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe { init::table_init(store, instance, table, segment, index, from, len) }
}

pub(crate) unsafe fn elem_drop(
    _: *mut StoreOpaque,
    instance: *mut InstanceData,
    segment: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe { &mut *instance }.drop_elements(segment);
    Ok(())
}
