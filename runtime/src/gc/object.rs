//! Fields and elements, as the host reads and writes them.

use super::heap::{GcHeap, RawRef};
use crate::engine::RegisteredType;
use crate::entities::Val;
use crate::error::Result;
use crate::store::StoreOpaque;
use crate::types::ValType;
use seqfault_jit::gc::GcLayout;
use seqfault_jit::types::{self as canonical, CompositeType, StorageType};
use seqfault_jit::vm::ValRaw;

/// The offset of a field, and its storage.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u32,
    pub(super) storage: StorageType,
}

impl Place {
    /// A field of a struct type.
    pub(super) fn field(ty: &RegisteredType, index: usize) -> Option<Place> {
        let (CompositeType::Struct(fields), GcLayout::Fields(layout)) =
            (&ty.ty().composite, ty.layout())
        else {
            unreachable!("a struct type")
        };
        let storage = fields.fields.get(index)?.storage;
        Some(Place { offset: layout.offsets[index], storage })
    }

    /// An element of an array type; whether an array has it is not checked.
    pub(super) fn element(ty: &canonical::ArrayType, index: u32) -> Place {
        let storage = ty.element.storage;
        Place { offset: seqfault_jit::gc::HEADER_SIZE + index * storage.size(), storage }
    }

    /// Loads the value; packed values are extended with zeros.
    pub(super) fn load(self, heap: &GcHeap, object: RawRef) -> ValRaw {
        let low = match self.storage.size() {
            1 => u128::from(heap.read::<u8>(object, self.offset)),
            2 => u128::from(heap.read::<u16>(object, self.offset)),
            4 => u128::from(heap.read::<u32>(object, self.offset)),
            8 => u128::from(heap.read::<u64>(object, self.offset)),
            _ => heap.read::<u128>(object, self.offset),
        };
        ValRaw { v128: low }
    }

    /// Stores a value; of a packed field, its low bits.
    pub(super) fn store(self, heap: &GcHeap, object: RawRef, value: ValRaw) {
        // SAFETY: raw values have all their bytes written.
        let low = unsafe { value.v128 };
        match self.storage.size() {
            1 => heap.write(object, self.offset, low as u8),
            2 => heap.write(object, self.offset, low as u16),
            4 => heap.write(object, self.offset, low as u32),
            8 => heap.write(object, self.offset, low as u64),
            _ => heap.write(object, self.offset, low),
        }
    }

    /// Loads the value for the host; `ty` resolves the types of its references.
    pub(super) fn get(self, store: &mut StoreOpaque, object: RawRef, ty: &RegisteredType) -> Val {
        let raw = self.load(store.gc_heap().expect("there is an object"), object);
        let unpacked = self.storage.unpacked();
        let unpacked = ValType::from_canonical(unpacked, &|id| ty.resolve(id));
        // SAFETY: fields hold values of their types.
        unsafe { Val::from_raw(store, raw, &unpacked) }
    }

    /// Writes a value there.
    ///
    /// # Errors
    ///
    /// When it is not one of the field's type.
    pub(super) fn set(
        self,
        store: &mut StoreOpaque,
        object: RawRef,
        ty: &RegisteredType,
        value: &Val,
    ) -> Result<()> {
        self.check(store, ty, value)?;
        let raw = value.to_raw(store);
        self.store(store.gc_heap().expect("there is an object"), object, raw);
        Ok(())
    }

    /// An error unless the value may be written there.
    pub(super) fn check(self, store: &StoreOpaque, ty: &RegisteredType, value: &Val) -> Result<()> {
        let unpacked = self.storage.unpacked();
        value.check(store, &ValType::from_canonical(unpacked, &|id| ty.resolve(id)))
    }
}
