//! Fields and elements: addresses, loads and stores.

use crate::abi;
use crate::gc::{HEADER_SIZE, LENGTH_OFFSET};
use crate::translate::alias::AliasRegion;
use crate::translate::function::FuncTranslator;
use crate::trap::TrapCode;
use crate::types::{StorageType, ValType};
use crate::vm::NULL_OBJECT;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, condcodes::IntCC, types};

/// How a packed field becomes an `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::translate) enum Extension {
    /// It is not packed.
    None,
    /// Its top bit is a sign.
    Signed,
    /// It has no sign.
    Unsigned,
}

/// A field or an element: an address, a constant to add to it, and how it is accessed.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) address: Value,
    pub(super) offset: i32,
    pub(super) flags: MemFlagsData,
}

impl FuncTranslator<'_, '_> {
    /// Accesses of an object whose fault is the trap `code`, as that through a null reference. Vectors are aligned as
    /// other fields are, which is less than their size.
    fn object_flags(&mut self, storage: StorageType, code: TrapCode) -> MemFlagsData {
        let code = self.on_fault(code);
        match storage {
            StorageType::Val(ValType::V128) => {
                AliasRegion::Object.unaligned(self.builder.func, code)
            }
            _ => AliasRegion::Object.trapping(self.builder.func, code),
        }
    }

    /// Writes to an object that was just made. The first touch of a page may still be denied.
    pub(super) fn fresh_flags(&mut self) -> MemFlagsData {
        let code = self.on_fault(TrapCode::GcHeapOutOfMemory);
        AliasRegion::Object.trapping(self.builder.func, code)
    }

    pub(super) fn fresh_place(
        &mut self,
        storage: StorageType,
        address: Value,
        offset: u32,
    ) -> Place {
        let flags = self.object_flags(storage, TrapCode::GcHeapOutOfMemory);
        Place { address, offset: offset as i32, flags }
    }

    /// A field at `offset` of the struct that `reference` leads to.
    pub(super) fn field_place(
        &mut self,
        reference: Value,
        offset: u32,
        storage: StorageType,
    ) -> Place {
        if offset + storage.size() > NULL_OBJECT {
            // Too far from the start of the heap to fault.
            self.trapz(reference, TrapCode::NullStruct);
        } else {
            self.check_null(reference, TrapCode::NullStruct);
        }
        let address = self.object_address(reference);
        let flags = self.object_flags(storage, TrapCode::NullStruct);
        Place { address, offset: offset as i32, flags }
    }

    /// The length of an array; traps if there is none.
    pub(super) fn array_length(&mut self, reference: Value) -> Value {
        self.check_null(reference, TrapCode::NullArray);
        let address = self.object_address(reference);
        let code = self.on_fault(TrapCode::NullArray);
        let flags = AliasRegion::Object.trapping(self.builder.func, code);
        self.builder.ins().load(types::I32, flags, address, LENGTH_OFFSET as i32)
    }

    /// An element of an array. An index outside of it selects a null address, where the access
    /// faults: there is no branch for the processor to speculate past. (As in tables there is one where signals are
    /// not to be raised.)
    pub(super) fn element_place(
        &mut self,
        reference: Value,
        index: Value,
        storage: StorageType,
    ) -> Place {
        let len = self.array_length(reference);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        self.check_outside(outside, TrapCode::ArrayOutOfBounds);
        let address = self.array_element_address(reference, index, storage);
        let null = self.builder.ins().iconst(abi::POINTER, 0);
        let address = self.builder.ins().select_spectre_guard(outside, null, address);
        let flags = self.object_flags(storage, TrapCode::ArrayOutOfBounds);
        Place { address, offset: 0, flags }
    }

    /// The address of an element, wherever the array ends.
    pub(super) fn array_element_address(
        &mut self,
        reference: Value,
        index: Value,
        storage: StorageType,
    ) -> Value {
        let object = self.object_address(reference);
        let index = self.builder.ins().uextend(types::I64, index);
        let shift = i64::from(storage.size().ilog2());
        let offset = self.builder.ins().ishl_imm_u(index, shift);
        let address = self.builder.ins().iadd(object, offset);
        self.builder.ins().iadd_imm_u(address, i64::from(HEADER_SIZE))
    }

    /// Loads a field and pushes its value.
    pub(super) fn load_place(&mut self, place: Place, storage: StorageType, extension: Extension) {
        let Place { address, offset, flags } = place;
        let ins = self.builder.ins();
        let value = match (storage, extension) {
            (StorageType::I8, Extension::Signed) => ins.sload8(types::I32, flags, address, offset),
            (StorageType::I8, _) => ins.uload8(types::I32, flags, address, offset),
            (StorageType::I16, Extension::Signed) => {
                ins.sload16(types::I32, flags, address, offset)
            }
            (StorageType::I16, _) => ins.uload16(types::I32, flags, address, offset),
            (StorageType::Val(ty), _) => ins.load(abi::value_type(ty), flags, address, offset),
        };
        self.declare(storage.unpacked(), value);
        self.stack.push(value);
    }

    /// Stores a value, which must be in its canonical form, in a field.
    pub(super) fn store_place(&mut self, place: Place, storage: StorageType, value: Value) {
        let Place { address, offset, flags } = place;
        let ins = self.builder.ins();
        match storage {
            StorageType::I8 => ins.istore8(flags, value, address, offset),
            StorageType::I16 => ins.istore16(flags, value, address, offset),
            StorageType::Val(_) => ins.store(flags, value, address, offset),
        };
    }
}
