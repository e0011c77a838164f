//! Arrays that are made, filled and copied in pieces, between which the guest may be interrupted.
//!
//! The check may collect, so an array and what it is filled with are [`Kept`], and found again after each piece. An array
//! that is not full yet is *unfinished*: nobody has a reference to it, and for the collector it is a number of bytes, of
//! which it copies those that are there (`jit/src/gc.rs` has the layout). Its first bytes, where that number is, are
//! written last. An array of references to objects is first filled with null, since the collector has to see them.

use super::heap::{GcHeap, RawRef};
use super::{allocate_for_guest, collect_for_guest, find_room};
use crate::error::Result;
use crate::instance::InstanceData;
use crate::store::{Kept, StoreOpaque, in_pieces, piece_of};
use crate::trap::{TrapCode, TrapReason};
use seqfault_jit::gc::{FILLED_OFFSET, HEADER_SIZE, I31_TAG, array_size};
use seqfault_jit::types::StorageType;
use seqfault_jit::vm::ROUTINE_LIMIT;
use std::ops::Range;

/// The type of an array, and how many elements it has or will have.
#[derive(Clone, Copy)]
pub(crate) struct ArrayShape {
    /// The engine's number of the type.
    pub(crate) ty: u32,
    pub(crate) storage: StorageType,
    pub(crate) len: u32,
}

impl ArrayShape {
    /// Bytes of the elements.
    fn bytes(self) -> usize {
        self.len as usize * self.storage.size() as usize
    }

    fn is_long(self) -> bool {
        self.bytes() > ROUTINE_LIMIT
    }
}

/// Elements of an array: `len` from `index` on, which it has.
#[derive(Clone, Copy)]
pub(super) struct Elements {
    pub(super) array: RawRef,
    pub(super) index: u32,
    pub(super) len: u32,
    /// Bytes of one.
    pub(super) size: u32,
}

impl Elements {
    fn bytes(self) -> usize {
        self.len as usize * self.size as usize
    }

    fn in_pieces(self) -> bool {
        self.bytes() > ROUTINE_LIMIT
    }

    /// The offset in the array of one of them.
    fn offset(self, element: usize) -> u32 {
        HEADER_SIZE + (self.index + element as u32) * self.size
    }
}

/// A new array whose elements are all `value`.
///
/// # Safety
///
/// As for [`allocate_for_guest`]. The value must be one of the elements' type, in its low bits.
///
/// # Errors
///
/// When there is no room for it, or the guest is interrupted.
pub(crate) unsafe fn new_repeated(
    store: *mut StoreOpaque,
    shape: ArrayShape,
    value: u128,
) -> Result<RawRef> {
    let size = shape.storage.size();
    // SAFETY: the caller's promise.
    unsafe {
        if !(shape.storage.is_gc() && is_object(value as RawRef)) {
            let pair = pair(value, size);
            return new_with(store, shape, |heap, array, range| {
                heap.fill(array, HEADER_SIZE + range.start as u32, pair, range.len())
            });
        }
        let value = Kept::new(&mut *store, value as u64, true)?;
        if !shape.is_long() {
            let fill = |heap: &GcHeap, array, range: Range<usize>| {
                let pair = pair(value.bits().into(), size);
                heap.fill(array, HEADER_SIZE + range.start as u32, pair, range.len())
            };
            return new_with(store, shape, fill);
        }
        let array = new_repeated(store, shape, 0)?;
        let array = Kept::new(&mut *store, array.into(), true)?;
        let elements = Elements { array: array.raw(), index: 0, len: shape.len, size };
        fill(store, elements, value.bits().into(), true)?;
        Ok(array.raw())
    }
}

/// A new array with these bytes, as many as its elements have.
///
/// # Safety
///
/// As for [`allocate_for_guest`].
///
/// # Errors
///
/// As for [`new_repeated`].
pub(super) unsafe fn new_of_bytes(
    store: *mut StoreOpaque,
    shape: ArrayShape,
    bytes: &[u8],
) -> Result<RawRef> {
    // SAFETY: the caller's promise.
    unsafe {
        new_with(store, shape, |heap, array, range| {
            heap.write_bytes(array, HEADER_SIZE + range.start as u32, &bytes[range])
        })
    }
}

/// A new array whose elements `write` writes: those at a range of bytes behind the header.
///
/// # Safety
///
/// As for [`allocate_for_guest`]. What is written must hold no reference to an object if the array is long, and be valid
/// elements.
unsafe fn new_with(
    store: *mut StoreOpaque,
    shape: ArrayShape,
    mut write: impl FnMut(&GcHeap, RawRef, Range<usize>) -> Result<()>,
) -> Result<RawRef> {
    let ArrayShape { ty, storage, len } = shape;
    let size = array_size(storage.size(), len).ok_or(TrapReason(TrapCode::GcHeapOutOfMemory))?;
    let bytes = shape.bytes();
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        if !shape.is_long() {
            let array = allocate_for_guest(store, ty, size.into(), len)?;
            write(heap(&*store), array, 0..bytes)?;
            return Ok(array);
        }
        let (array, size) = find_room(store, size.into(), |store| collect_for_guest(store))?;
        heap(&*store).write_unfinished(array, size - HEADER_SIZE)?;
        let array = Kept::new(&mut *store, array.into(), true)?;
        // Whole elements that cover the number of bytes that are there, and keep the others aligned.
        let first = (storage.size() as usize).max(size_of::<u64>());
        in_pieces(store, bytes - first, ROUTINE_LIMIT, |piece| {
            let (heap, array) = (heap(&*store), array.raw());
            let piece = first + piece.start..first + piece.end;
            write(heap, array, piece.clone())?;
            heap.write(array, FILLED_OFFSET, HEADER_SIZE + piece.end as u32);
            Ok(())
        })?;
        let (heap, array) = (heap(&*store), array.raw());
        write(heap, array, 0..first)?;
        heap.finish(array, ty, len);
        Ok(array)
    }
}

/// Sets elements to `value`, which `is_gc` says is a reference of the heap.
///
/// # Safety
///
/// `store` must not be borrowed, and the value must be one of the elements' type; code of the embedder may run.
///
/// # Errors
///
/// When the guest is interrupted: some elements are set then.
pub(super) unsafe fn fill(
    store: *mut StoreOpaque,
    elements: Elements,
    value: u128,
    is_gc: bool,
) -> Result<()> {
    let (size, long) = (elements.size, elements.in_pieces());
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        let array = Kept::new(&mut *store, elements.array.into(), long)?;
        let reference = Kept::new(&mut *store, value as u64, long && is_gc)?;
        in_pieces(store, elements.len as usize, piece_of(size as usize), |piece| {
            let value = if is_gc { reference.bits().into() } else { value };
            let (offset, bytes) = (elements.offset(piece.start), piece.len() * size as usize);
            heap(&*store).fill(array.raw(), offset, pair(value, size), bytes)
        })
    }
}

/// Copies elements to as many elements of the same size, which may be some of them.
///
/// # Safety
///
/// `store` must not be borrowed; code of the embedder may run.
///
/// # Errors
///
/// As for [`fill`].
pub(super) unsafe fn copy(store: *mut StoreOpaque, to: Elements, from: Elements) -> Result<()> {
    let (len, size) = (to.len as usize, to.size as usize);
    // Starts with the last piece where a piece would overwrite the source of a later one.
    let backward = to.array == from.array && from.index < to.index;
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        let [target, source] = [to, from]
            .map(|elements| Kept::new(&mut *store, elements.array.into(), to.in_pieces()));
        let (target, source) = (target?, source?);
        in_pieces(store, len, piece_of(size), |piece| {
            let at = if backward { len - piece.end } else { piece.start };
            let (target, source) = ((target.raw(), to.offset(at)), (source.raw(), from.offset(at)));
            heap(&*store).copy(target, source, piece.len() * size)
        })
    }
}

/// Copies bytes to elements that have as many.
///
/// # Safety
///
/// `store` must not be borrowed; code of the embedder may run.
///
/// # Errors
///
/// As for [`fill`].
pub(super) unsafe fn write(store: *mut StoreOpaque, to: Elements, bytes: &[u8]) -> Result<()> {
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        let array = Kept::new(&mut *store, to.array.into(), to.in_pieces())?;
        in_pieces(store, bytes.len(), ROUTINE_LIMIT, |piece| {
            let offset = to.offset(0) + piece.start as u32;
            heap(&*store).write_bytes(array.raw(), offset, &bytes[piece])
        })
    }
}

/// Copies elements of a segment, from `from` on, to elements of an array.
///
/// # Safety
///
/// `store` and `instance` must not be borrowed; code of the embedder may run.
///
/// # Errors
///
/// As for [`fill`]; and when the segment does not have them (any more).
pub(super) unsafe fn init(
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    to: Elements,
    segment: u32,
    from: u32,
) -> Result<()> {
    // SAFETY: the caller's promise; each borrow ends with its line.
    unsafe {
        let array = Kept::new(&mut *store, to.array.into(), to.in_pieces())?;
        in_pieces(store, to.len as usize, piece_of(to.size as usize), |piece| {
            let (heap, array) = (heap(&*store), array.raw());
            let mut some = [0; 128];
            for start in piece.clone().step_by(some.len()) {
                let some = &mut some[..(piece.end - start).min(128)];
                let first = from as usize + start;
                (*instance).copy_elements(segment, first..first + some.len(), some)?;
                for (index, &value) in some.iter().enumerate() {
                    match to.size {
                        8 => heap.write::<u64>(array, to.offset(start + index), value),
                        _ => heap.write::<u32>(array, to.offset(start + index), value as u32),
                    }
                }
            }
            Ok(())
        })
    }
}

/// The heap that contains the array.
pub(super) fn heap(store: &StoreOpaque) -> &GcHeap {
    store.gc_heap().expect("there is an array")
}

/// Whether a reference changes when its object moves.
fn is_object(reference: RawRef) -> bool {
    reference != 0 && reference & I31_TAG == 0
}

/// 16 bytes of elements of `size` bytes that are all `value`.
fn pair(value: u128, size: u32) -> u128 {
    let bits = 8 * size;
    let value = value & (u128::MAX >> (128 - bits));
    // One in each element.
    value.wrapping_mul(u128::MAX / (u128::MAX >> (128 - bits)))
}

#[cfg(test)]
mod tests {
    use super::pair;

    #[test]
    fn a_pair_repeats_the_low_bits() {
        assert_eq!(pair(0x1ab, 1), u128::from_ne_bytes([0xab; 16]));
        assert_eq!(pair(0x5_1234, 2), 0x1234_1234_1234_1234_1234_1234_1234_1234);
        assert_eq!(pair(7, 4), 0x7_0000_0007_0000_0007_0000_0007);
        assert_eq!(pair(u128::MAX - 1, 8), !0u128 ^ (1 << 64) ^ 1);
        assert_eq!(pair(u128::MAX - 1, 16), u128::MAX - 1);
    }
}
