//! The layout of objects in the heap.
//!
//! ```text
//! 0        4        8
//! │ type   │ length │ fields or elements ...
//! ```
//!
//! References are 32-bit byte offsets from the heap's base. Objects are at multiples of
//! [`OBJECT_ALIGN`], so the low bits of a reference to one are 0. An `i31` has [`I31_TAG`] set and
//! its value in the bits above. 0 is null. An object that has moved has
//! [`FORWARDED`](crate::vm::FORWARDED) as its type and its new offset as its length.
//!
//! An array that is filled in pieces, between which a collection may happen, has
//! [`UNFINISHED`](crate::vm::UNFINISHED) as its type until it is full. Its length is that of all its elements in bytes, and
//! at [`FILLED_OFFSET`] is how many bytes of the object there are already. They are no references to the collector.
//!
//! Fields follow each other in order, each aligned to its size (at most 8), so that a struct begins
//! like its supertype. The length is that of an array; in other objects it is 0.

use crate::types::{ArrayType, FuncType, StorageType, StructType, ValType};

/// Bytes before the first field or element.
pub const HEADER_SIZE: u32 = 8;

/// Byte offset of the type's number.
pub const TYPE_OFFSET: u32 = 0;

/// Byte offset of the length.
pub const LENGTH_OFFSET: u32 = 4;

/// Byte offset, in an array that is being filled, of the number of bytes that it has.
pub const FILLED_OFFSET: u32 = HEADER_SIZE;

/// The alignment of objects.
pub const OBJECT_ALIGN: u32 = 8;

/// The bit that distinguishes an `i31` from the offset of an object.
pub const I31_TAG: u32 = 1;

/// Byte offset of the address of the tag (a `*mut VMTag`) in an exception; its values follow.
pub const EXCEPTION_TAG_OFFSET: u32 = HEADER_SIZE;

/// The layout of objects of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcLayout {
    /// A fixed number of fields.
    Fields(FieldsLayout),
    /// An array of elements of the same kind.
    Array {
        /// Bytes of an element.
        element_size: u32,
        /// Whether the elements are references into the heap.
        is_gc: bool,
    },
}

/// The fields of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldsLayout {
    /// Bytes of the whole object, a multiple of [`OBJECT_ALIGN`].
    pub size: u32,
    /// Byte offset of each field.
    pub offsets: Box<[u32]>,
    /// The offsets of those that are references into the heap.
    pub references: Box<[u32]>,
}

impl FieldsLayout {
    fn new(start: u32, fields: impl Iterator<Item = StorageType>) -> FieldsLayout {
        let mut at = start;
        let mut offsets = Vec::new();
        let mut references = Vec::new();
        for field in fields {
            let size = field.size();
            at = at.next_multiple_of(size.min(OBJECT_ALIGN));
            offsets.push(at);
            if field.is_gc() {
                references.push(at);
            }
            at += size;
        }
        // The parser limits a struct to 10,000 fields.
        let size = at.next_multiple_of(OBJECT_ALIGN);
        FieldsLayout { size, offsets: offsets.into(), references: references.into() }
    }

    /// The layout of a struct.
    pub fn of_struct(ty: &StructType) -> FieldsLayout {
        FieldsLayout::new(HEADER_SIZE, ty.fields.iter().map(|field| field.storage))
    }

    /// The layout of an exception whose tag has this type: the address of the tag, then the values.
    pub fn of_exception(ty: &FuncType) -> FieldsLayout {
        let start = EXCEPTION_TAG_OFFSET + size_of::<usize>() as u32;
        FieldsLayout::new(start, ty.params().iter().map(|&ty: &ValType| StorageType::Val(ty)))
    }
}

impl GcLayout {
    /// The layout of an array.
    pub fn of_array(ty: &ArrayType) -> GcLayout {
        let storage = ty.element.storage;
        GcLayout::Array { element_size: storage.size(), is_gc: storage.is_gc() }
    }
}

/// Bytes of an array, or `None` if no heap can hold it.
pub fn array_size(element_size: u32, len: u32) -> Option<u32> {
    let bytes = u64::from(HEADER_SIZE) + u64::from(element_size) * u64::from(len);
    u32::try_from(bytes.next_multiple_of(u64::from(OBJECT_ALIGN))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{FieldType, Mutability, RefType};

    #[test]
    fn fields_are_aligned_and_references_are_known() {
        let field = |storage| FieldType { storage, mutability: Mutability::Var };
        let fields = [
            StorageType::I8,
            StorageType::Val(ValType::EXTERNREF),
            StorageType::I16,
            StorageType::Val(ValType::Ref(RefType::FUNCREF)),
            StorageType::Val(ValType::V128),
        ];
        let ty = StructType { fields: fields.map(field).into() };
        let layout = FieldsLayout::of_struct(&ty);
        assert_eq!(*layout.offsets, [8, 12, 16, 24, 32]);
        assert_eq!(*layout.references, [12]);
        assert_eq!(layout.size, 48);
    }

    #[test]
    fn arrays_beyond_the_heap_have_no_size() {
        assert_eq!(array_size(4, 3), Some(24));
        assert_eq!(array_size(1, 0), Some(8));
        assert_eq!(array_size(16, u32::MAX), None);
    }
}
