//! The builtins for objects: allocations that find no room, and bulk operations on arrays.
//!
//! # Safety
//!
//! For all builtins here: compiled code calls them, so nothing borrows the store, and the
//! references in frames are where stack maps say; `instance` is the one that the code runs in.

use super::heap::{GcHeap, RawRef};
use crate::error::Result;
use crate::instance::InstanceData;
use crate::store::StoreOpaque;
use crate::trap::{TrapCode, TrapReason};
use seqfault_jit::gc::{HEADER_SIZE, array_size};
use seqfault_jit::types::{CompositeType, StorageType};
use std::ops::Range;

/// `start..start + len`, if it ends at or below `available`.
fn range(start: u32, len: u32, available: u32, code: TrapCode) -> Result<Range<usize>> {
    match start.checked_add(len) {
        Some(end) if end <= available => Ok(start as usize..end as usize),
        _ => Err(TrapReason(code).into()),
    }
}

/// `len` elements of an array from `start` on, if the array has them.
fn elements(heap: &GcHeap, array: RawRef, start: u32, len: u32) -> Result<Range<usize>> {
    range(start, len, heap.len_of(array), TrapCode::ArrayOutOfBounds)
}

fn not_null(array: RawRef) -> Result<()> {
    match array {
        0 => Err(TrapReason(TrapCode::NullArray).into()),
        _ => Ok(()),
    }
}

/// The heap that contains the array.
fn heap(store: &StoreOpaque) -> &GcHeap {
    store.gc_heap().expect("there is an array")
}

fn storage(instance: &InstanceData, type_index: u32) -> StorageType {
    match &instance.module().info().types[type_index].composite {
        CompositeType::Array(ty) => ty.element.storage,
        other => unreachable!("validation says that it is an array type: {other:?}"),
    }
}

/// The address of an element.
fn address(heap: &GcHeap, array: RawRef, element_size: u32, index: usize) -> *mut u8 {
    heap.at(array, HEADER_SIZE).wrapping_add(index * element_size as usize)
}

pub(crate) unsafe fn gc_alloc(
    store: *mut StoreOpaque,
    _: *mut InstanceData,
    ty: u32,
    size: u64,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: see the head of this file.
    unsafe { super::allocate(store, ty, size, len) }
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
    let heap = heap(unsafe { &*store });
    let target = elements(heap, to, to_index, len)?;
    let source = elements(heap, from, from_index, len)?;
    let bytes = target.len() * size as usize;
    let source = address(heap, from, size, source.start);
    // SAFETY: both ranges lie in arrays, whose pages are present; they may overlap.
    unsafe { address(heap, to, size, target.start).copy_from(source, bytes) };
    Ok(())
}

pub(crate) unsafe fn array_new_data(
    store: *mut StoreOpaque,
    instance: *mut InstanceData,
    type_index: u32,
    segment: u32,
    from: u32,
    len: u32,
) -> Result<RawRef> {
    // SAFETY: see the head of this file.
    unsafe {
        let size = storage(&*instance, type_index).size();
        data(&*instance, segment, from, len, size)?;
        let array = new_array(store, instance, type_index, size, len)?;
        init_data(&*store, &*instance, (array, 0), segment, from, len, size)?;
        Ok(array)
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
    not_null(array)?;
    // SAFETY: see the head of this file.
    let (store, instance) = unsafe { (&*store, &*instance) };
    let size = storage(instance, type_index).size();
    init_data(store, instance, (array, index), segment, from, len, size)
}

fn init_data(
    store: &StoreOpaque,
    instance: &InstanceData,
    to: (RawRef, u32),
    segment: u32,
    from: u32,
    len: u32,
    size: u32,
) -> Result<()> {
    let heap = heap(store);
    let target = elements(heap, to.0, to.1, len)?;
    let source = data(instance, segment, from, len, size)?;
    let target = address(heap, to.0, size, target.start);
    // SAFETY: as many bytes as the elements have, in an array whose pages are present.
    unsafe { target.copy_from_nonoverlapping(source.as_ptr(), source.len()) };
    Ok(())
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
        let size = storage(&*instance, type_index).size();
        let array = new_array(store, instance, type_index, size, len)?;
        init_elem(&*store, &*instance, (array, 0), segment, from, len, size)?;
        Ok(array)
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
    not_null(array)?;
    // SAFETY: see the head of this file.
    let (store, instance) = unsafe { (&*store, &*instance) };
    let size = storage(instance, type_index).size();
    init_elem(store, instance, (array, index), segment, from, len, size)
}

fn init_elem(
    store: &StoreOpaque,
    instance: &InstanceData,
    to: (RawRef, u32),
    segment: u32,
    from: u32,
    len: u32,
    size: u32,
) -> Result<()> {
    let heap = heap(store);
    let target = elements(heap, to.0, to.1, len)?;
    let available = instance.element_count(segment);
    let source = range(from, len, available, TrapCode::TableOutOfBounds)?;
    for (index, item) in target.zip(source) {
        let value = instance.element(segment, item);
        let offset = HEADER_SIZE + index as u32 * size;
        match size {
            8 => heap.write::<u64>(to.0, offset, value),
            _ => heap.write::<u32>(to.0, offset, value as u32),
        }
    }
    Ok(())
}

/// A new array, whose elements are still to be written.
///
/// # Safety
///
/// As for [`super::allocate`]; `instance` must be one of the store's.
unsafe fn new_array(
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    type_index: u32,
    element_size: u32,
    len: u32,
) -> Result<RawRef> {
    let size = array_size(element_size, len).ok_or(TrapReason(TrapCode::GcHeapOutOfMemory))?;
    // SAFETY: the caller's promise; instances keep their types alive.
    unsafe {
        let ty = (*instance).module().type_ids()[type_index as usize].0;
        super::allocate(store, ty, size.into(), len)
    }
}
