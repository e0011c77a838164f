//! The builtins for tables.
//!
//! # Safety
//!
//! For all functions here: compiled code calls them, so nothing borrows the store; `instance` is
//! the one that the code runs in, and values are references of the store.

use super::grow_table;
use crate::engine::TypeId;
use crate::error::Result;
use crate::instance::InstanceData;
use crate::store::StoreOpaque;
use crate::trap::{TrapCode, TrapReason};

pub(crate) unsafe fn make_element(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    table: u32,
    index: u64,
) -> Result<()> {
    // SAFETY: see the head of this file.
    let (store, table) = unsafe { (&mut *store, (*instance).table(table)) };
    store.table_mut(table).make_func_ref(index);
    Ok(())
}

pub(crate) unsafe fn make_callee(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    table: u32,
    index: u64,
    ty: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    let (store, instance) = unsafe { (&mut *store, &*instance) };
    let func_ref = store.table_mut(instance.table(table)).make_func_ref(index);
    // SAFETY: a function of the store.
    let found = TypeId(unsafe { (*func_ref).type_id });
    let wanted = instance.module().registered_type(ty);
    if found != wanted.id() && !store.engine().types().get(found).is_subtype_of(wanted) {
        return Err(TrapReason(TrapCode::BadSignature).into());
    }
    Ok(())
}

pub(crate) unsafe fn table_grow(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    table: u32,
    delta: u64,
    value: u64,
) -> Result<i64> {
    // SAFETY: see the head of this file.
    let old = unsafe { grow_table(store, (*instance).table(table), delta, value)? };
    Ok(old.map_or(-1, |old| old as i64))
}

pub(crate) unsafe fn table_fill(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    table: u32,
    index: u64,
    value: u64,
    len: u64,
) -> Result<()> {
    // SAFETY: see the head of this file.
    let (store, table) = unsafe { (&mut *store, (*instance).table(table)) };
    let table = store.table_mut(table);
    let range = table.range(index, len)?;
    table.elements_mut()[range].fill(value);
    Ok(())
}

pub(crate) unsafe fn table_copy(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    to: u32,
    to_index: u64,
    from: u32,
    from_index: u64,
    len: u64,
) -> Result<()> {
    // SAFETY: see the head of this file.
    let (store, to, from) =
        unsafe { (&mut *store, (*instance).table(to), (*instance).table(from)) };
    match store.two_tables(to, from) {
        Ok([to, from]) => {
            let source = from.range(from_index, len)?;
            let target = to.range(to_index, len)?;
            to.elements_mut()[target].copy_from_slice(&from.made_elements()[source]);
        }
        Err(one) => {
            let source = one.range(from_index, len)?;
            let target = one.range(to_index, len)?;
            one.elements_mut().copy_within(source, target.start);
        }
    }
    Ok(())
}
