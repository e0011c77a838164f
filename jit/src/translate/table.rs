//! Reading and writing elements of tables, `table.size`.
//!
//! An index out of bounds selects a null address, and the fault of the access there is the trap: no
//! branch checks bounds, so none is there for the processor to speculate past. (Where signals are not to be raised a
//! branch does come first; the null address then stops the processor's speculation.)

use super::Result;
use super::alias::AliasRegion;
use super::builtins::Bits64;
use super::dispatch::Table;
use super::function::FuncTranslator;
use crate::abi;
use crate::trap::TrapCode;
use crate::vm::{UNMADE, VMFuncRef, VMTable};
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC, types};
use std::mem::offset_of;

/// log2 of the bytes in an element.
const ELEMENT_SIZE_LOG2: i64 = 3;

/// An element that was loaded.
pub(super) struct Element {
    address: Value,
    pub(super) value: Value,
}

impl FuncTranslator<'_, '_> {
    /// Translates an operator on tables.
    pub(super) fn table_operator(&mut self, operator: Table) -> Result {
        match operator {
            Table::TableGet { table } => self.table_get(table),
            Table::TableSet { table } => self.table_set(table),
            Table::TableSize { table } => self.table_size(table),
            Table::TableGrow { table } => self.table_grow(table),
            Table::TableFill { table } => self.table_fill(table),
            Table::TableInit { elem_index, table } => self.table_init(table, elem_index),
            Table::ElemDrop { elem_index } => self.elem_drop(elem_index),
            Table::TableCopy { dst_table, src_table } => self.table_copy(dst_table, src_table),
        }
    }

    pub(super) fn table_get(&mut self, table: u32) -> Result {
        let index = self.stack.pop();
        let mut element = self.load_element(table, index, TrapCode::TableOutOfBounds);
        match self.env.module.tables[table as usize].ty.element.is_gc() {
            true => self.declare_reference(element.value),
            false => element.value = self.made_element(table, index, &element),
        }
        self.stack.push(element.value);
        Ok(())
    }

    /// The function reference that was loaded from a table: made, if it was not.
    fn made_element(&mut self, table: u32, index: Value, element: &Element) -> Value {
        let [function, make, done] = [(); 3].map(|()| self.builder.create_block());
        self.set_cold(make);
        let func_ref = self.builder.append_block_param(done, abi::POINTER);
        let loaded = element.value;
        self.builder.ins().brif(loaded, function, &[], done, &[loaded.into()]);
        self.enter_sealed(function);
        let flags = AliasRegion::Context.trusted(self.builder.func).with_readonly();
        let offset = offset_of!(VMFuncRef, type_id) as i32;
        let id = self.builder.ins().load(types::I32, flags, loaded, offset);
        let unmade = self.builder.ins().icmp_imm_u(IntCC::Equal, id, i64::from(UNMADE));
        self.builder.ins().brif(unmade, make, &[], done, &[loaded.into()]);
        self.enter_sealed(make);
        let index = Bits64(self.widen(index));
        self.keeping_builtin().make_element(table, index);
        let made = self.reload(element);
        self.builder.ins().jump(done, &[made.into()]);
        self.enter_sealed(done);
        func_ref
    }

    /// The function reference that is in an element by now.
    pub(super) fn reload(&mut self, element: &Element) -> Value {
        let flags = AliasRegion::Element.trusted(self.builder.func);
        self.builder.ins().load(abi::POINTER, flags, element.address, 0)
    }

    pub(super) fn table_set(&mut self, table: u32) -> Result {
        let value = self.pop_element(table);
        let index = self.stack.pop();
        let address = self.element_address(table, index, TrapCode::TableOutOfBounds);
        let code = self.on_fault(TrapCode::TableOutOfBounds);
        let flags = AliasRegion::Element.trapping(self.builder.func, code);
        self.builder.ins().store(flags, value, address, 0);
        Ok(())
    }

    /// Loads an element; traps with `code` when there is none at `index`.
    pub(super) fn load_element(&mut self, table: u32, index: Value, code: TrapCode) -> Element {
        let ty = abi::reference_type(self.env.module.tables[table as usize].ty.element);
        let address = self.element_address(table, index, code);
        let code = self.on_fault(code);
        let flags = AliasRegion::Element.trapping(self.builder.func, code);
        // Little-endian: a reference of the heap is in the first half of its element.
        let value = self.builder.ins().load(ty, flags, address, 0);
        Element { address, value }
    }

    /// The address of an element, or null when there is none at `index`: an access there traps.
    fn element_address(&mut self, table: u32, index: Value, code: TrapCode) -> Value {
        let len = self.table_len(table);
        let base = self.table_base(table);
        let index = self.widen(index);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        self.check_outside(outside, code);
        let offset = self.builder.ins().ishl_imm_u(index, ELEMENT_SIZE_LOG2);
        let address = self.builder.ins().iadd(base, offset);
        let null = self.builder.ins().iconst(abi::POINTER, 0);
        self.builder.ins().select_spectre_guard(outside, null, address)
    }

    pub(super) fn table_size(&mut self, table: u32) -> Result {
        let len = self.table_len(table);
        self.push_size(len, self.env.module.tables[table as usize].ty.table64);
        Ok(())
    }

    pub(super) fn table_base(&mut self, table: u32) -> Value {
        let pointer = self.context_pointer(self.env.offsets.table(table));
        let offset = offset_of!(VMTable, base);
        if self.fixed_len(table).is_some() {
            return self.constant_pointer(pointer, offset);
        }
        let flags = AliasRegion::Table.trusted(self.builder.func);
        self.builder.ins().load(abi::POINTER, flags, pointer, offset as i32)
    }

    pub(super) fn table_len(&mut self, table: u32) -> Value {
        if let Some(len) = self.fixed_len(table) {
            return self.builder.ins().iconst(abi::POINTER, len as i64);
        }
        let pointer = self.context_pointer(self.env.offsets.table(table));
        let flags = AliasRegion::Table.trusted(self.builder.func);
        let offset = offset_of!(VMTable, len) as i32;
        self.builder.ins().load(abi::POINTER, flags, pointer, offset)
    }

    /// Whether functions in a table may not be made, as a condition.
    pub(super) fn table_is_unmade(&mut self, table: u32) -> Value {
        let pointer = self.context_pointer(self.env.offsets.table(table));
        let flags = AliasRegion::Table.trusted(self.builder.func);
        let offset = offset_of!(VMTable, unmade) as i32;
        self.builder.ins().load(types::I8, flags, pointer, offset)
    }

    /// The length of a table that cannot grow, and so does not move either. (Nor does one that is
    /// imported under such a type.)
    fn fixed_len(&self, table: u32) -> Option<u64> {
        let ty = self.env.module.tables[table as usize].ty;
        (ty.maximum == Some(ty.minimum)).then_some(ty.minimum)
    }
}
