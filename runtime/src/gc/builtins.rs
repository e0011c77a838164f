//! The builtins for objects: allocations that find no room, and bulk operations on arrays.
//!
//! # Safety
//!
//! For all builtins here: compiled code calls them, so nothing borrows the store, and the
//! references in frames are where stack maps say; `instance` is the one that the code runs in.

use super::arrays::{self, ArrayShape, Elements};
use super::heap::RawRef;
use crate::error::Result;
use crate::instance::InstanceData;
use crate::store::{Kept, StoreOpaque};
use crate::trap::{TrapCode, TrapReason};
use seqfault_jit::types::{CompositeType, StorageType};

/// An error unless `start..start + len` ends at or below `available`.
fn range(start: u32, len: u32, available: u32, code: TrapCode) -> Result<()> {
    match start.checked_add(len) {
        Some(end) if end <= available => Ok(()),
        _ => Err(TrapReason(code).into()),
    }
}

/// `len` elements of an array from `start` on, if there is an array and it has them.
fn elements(
    store: &StoreOpaque,
    array: RawRef,
    start: u32,
    len: u32,
    size: u32,
) -> Result<Elements> {
    not_null(array)?;
    let available = arrays::heap(store).len_of(array);
    range(start, len, available, TrapCode::ArrayOutOfBounds)?;
    Ok(Elements { array, index: start, len, size })
}

fn not_null(array: RawRef) -> Result<()> {
    match array {
        0 => Err(TrapReason(TrapCode::NullArray).into()),
        _ => Ok(()),
    }
}

fn storage(instance: &InstanceData, type_index: u32) -> StorageType {
    match &instance.module().info().types[type_index].composite {
        CompositeType::Array(ty) => ty.element.storage,
        other => unreachable!("validation says that it is an array type: {other:?}"),
    }
}

fn shape(instance: &InstanceData, type_index: u32, len: u32) -> ArrayShape {
    // Instances keep their types alive.
    let ty = instance.module().type_ids()[type_index as usize].0;
    ArrayShape { ty, storage: storage(instance, type_index), len }
}

/// The value of an element, as two words.
fn value(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

pub(crate) unsafe fn gc_alloc(
    store: *mut StoreOpaque,
    _: *mut InstanceData,
    ty: u32,
    size: u64,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: see the head of this file.
    unsafe { super::allocate_for_guest(store, ty, size, len) }
}

pub(crate) unsafe fn array_new(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    len: u32,
    low: u64,
    high: u64,
) -> Result<RawRef> {
    // SAFETY: see the head of this file.
    unsafe { arrays::new_repeated(store, shape(&*instance, type_index, len), value(low, high)) }
}

#[expect(clippy::too_many_arguments, reason = "those of the list")]
pub(crate) unsafe fn array_fill(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    array: RawRef,
    index: u32,
    low: u64,
    high: u64,
    len: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe {
        let storage = storage(&*instance, type_index);
        let elements = elements(&*store, array, index, len, storage.size())?;
        arrays::fill(store, elements, value(low, high), storage.is_gc())
    }
}

#[expect(clippy::too_many_arguments, reason = "those of the list")]
pub(crate) unsafe fn array_copy(
    store: *mut StoreOpaque,
    _: *mut InstanceData,
    to: RawRef,
    to_index: u32,
    from: RawRef,
    from_index: u32,
    len: u32,
    size: u32,
) -> Result<()> {
    not_null(to)?;
    not_null(from)?;
    // SAFETY: see the head of this file.
    unsafe {
        let target = elements(&*store, to, to_index, len, size)?;
        let source = elements(&*store, from, from_index, len, size)?;
        arrays::copy(store, target, source)
    }
}

pub(crate) unsafe fn array_new_data(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    segment: u32,
    from: u32,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: see the head of this file. The bytes are those of the module, which lives as long as the instance.
    unsafe {
        let shape = shape(&*instance, type_index, len);
        let bytes = data(&*instance, segment, from, len, shape.storage.size())?;
        arrays::new_of_bytes(store, shape, bytes)
    }
}

#[expect(clippy::too_many_arguments, reason = "those of the list")]
pub(crate) unsafe fn array_init_data(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    segment: u32,
    array: RawRef,
    index: u32,
    from: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: as for `array_new_data`.
    unsafe {
        let size = storage(&*instance, type_index).size();
        let target = elements(&*store, array, index, len, size)?;
        let bytes = data(&*instance, segment, from, len, size)?;
        arrays::write(store, target, bytes)
    }
}

/// The bytes of a segment for `len` elements.
fn data(instance: &InstanceData, segment: u32, from: u32, len: u32, size: u32) -> Result<&[u8]> {
    Ok(instance.data_slice(segment, from, u64::from(len) * u64::from(size))?)
}

pub(crate) unsafe fn array_new_elem(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    segment: u32,
    from: u32,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: see the head of this file.
    unsafe {
        let available = (*instance).element_count(segment);
        range(from, len, available, TrapCode::TableOutOfBounds)?;
        let shape = shape(&*instance, type_index, len);
        let array = arrays::new_repeated(store, shape, 0)?;
        let array = Kept::new(&mut *store, array.into(), true)?;
        let size = shape.storage.size();
        let target = Elements { array: array.raw(), index: 0, len, size };
        arrays::init(store, instance, target, segment, from)?;
        Ok(array.raw())
    }
}

#[expect(clippy::too_many_arguments, reason = "those of the list")]
pub(crate) unsafe fn array_init_elem(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    segment: u32,
    array: RawRef,
    index: u32,
    from: u32,
    len: u32,
) -> Result<()> {
    // SAFETY: see the head of this file.
    unsafe {
        let size = storage(&*instance, type_index).size();
        let target = elements(&*store, array, index, len, size)?;
        let available = (*instance).element_count(segment);
        range(from, len, available, TrapCode::TableOutOfBounds)?;
        arrays::init(store, instance, target, segment, from)
    }
}
