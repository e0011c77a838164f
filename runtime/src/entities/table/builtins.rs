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
use crate::store::{Kept, StoreOpaque, in_pieces, piece_of};
use crate::trap::{TrapCode, TrapReason};

/// Bytes of an element.
const ELEMENT: usize = size_of::<u64>();

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
    unsafe {
        let check = || StoreOpaque::check_interrupt(store);
        let old = grow_table(store, (*instance).table(table), delta, value, check)?;
        Ok(old.map_or(-1, |old| old as i64))
    }
}

pub(crate) unsafe fn table_fill(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    table: u32,
    index: u64,
    value: u64,
    len: u64,
) -> Result<()> {
    // SAFETY: see the head of this file; no borrow outlives its line.
    unsafe {
        let table = (*instance).table(table);
        let range = (*store).table(table).range(index, len)?;
        let is_held = (*store).table(table).holds_objects() && range.len() > piece_of(ELEMENT);
        let value = Kept::new(&mut *store, value, is_held)?;
        in_pieces(store, range.len(), piece_of(ELEMENT), |piece| {
            let target = range.start + piece.start..range.start + piece.end;
            (*store).table_mut(table).elements_mut()[target].fill(value.bits());
            Ok(())
        })
    }
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
    // SAFETY: see the head of this file; no borrow outlives its line.
    unsafe {
        let (to, from) = ((*instance).table(to), (*instance).table(from));
        let source = (*store).table(from).range(from_index, len)?;
        let target = (*store).table(to).range(to_index, len)?;
        let len = source.len();
        if to != from {
            make_all(store, from)?;
        }
        // Starts with the last piece where a piece would overwrite the source of a later one.
        let backward = to == from && source.start < target.start;
        in_pieces(store, len, piece_of(ELEMENT), |piece| {
            let at = if backward { len - piece.end } else { piece.start };
            let target = target.start + at..target.start + at + piece.len();
            let source = source.start + at..source.start + at + piece.len();
            match (*store).two_tables(to, from) {
                Ok([to, from]) => {
                    to.elements_mut()[target].copy_from_slice(from.made_elements(source));
                }
                Err(one) => one.elements_mut().copy_within(source, target.start),
            }
            Ok(())
        })
    }
}

/// Makes the functions of a table, so that it can be copied without a further look at them: in pieces, unless all are
/// made. If the guest goes on after a check, the embedder may have moved elements from where this comes later to where it
/// has been. Then some may still not be made, and the next copy begins again.
///
/// # Safety
///
/// As for [`in_pieces`].
unsafe fn make_all(store: *mut StoreOpaque, table: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        if !(*store).table(table).is_unmade() {
            return Ok(());
        }
        let begun = (*store).checks_answered();
        in_pieces(store, (*store).table(table).len(), piece_of(ELEMENT), |piece| {
            (*store).table_mut(table).made_elements(piece);
            Ok(())
        })?;
        if (*store).checks_answered() == begun {
            (*store).table_mut(table).all_are_made();
        }
        Ok(())
    }
}
