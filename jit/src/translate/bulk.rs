//! Bulk operations on memories and tables: calls of builtins.
//!
//! Addresses, indices and lengths in memories and tables become 64 bits wide; those in segments stay
//! at 32. A length that counts in two memories or tables has 64 bits only where both have.

use super::function::FuncTranslator;
use crate::vm::BuiltinSignature;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl FuncTranslator<'_, '_> {
    pub(super) fn memory_copy(&mut self, to: u32, from: u32) {
        let len = self.pop_index();
        let from_address = self.pop_index();
        let to_address = self.pop_index();
        let (to, from) = (self.index(to), self.index(from));
        let args = [to, to_address, from, from_address, len];
        self.builtin(&BuiltinSignature::memory_copy, &args);
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let len = self.pop_index();
        let byte = self.stack.pop();
        let address = self.pop_index();
        let memory = self.index(memory);
        self.builtin(&BuiltinSignature::memory_fill, &[memory, address, byte, len]);
    }

    pub(super) fn memory_discard(&mut self, memory: u32) {
        let len = self.pop_index();
        let address = self.pop_index();
        let memory = self.index(memory);
        self.builtin(&BuiltinSignature::memory_discard, &[memory, address, len]);
    }

    pub(super) fn memory_init(&mut self, memory: u32, segment: u32) {
        let (offset, len) = self.stack.pop2();
        let address = self.pop_index();
        let (memory, segment) = (self.index(memory), self.index(segment));
        let args = [memory, segment, address, offset, len];
        self.builtin(&BuiltinSignature::memory_init, &args);
    }

    pub(super) fn data_drop(&mut self, segment: u32) {
        let segment = self.index(segment);
        self.builtin(&BuiltinSignature::data_drop, &[segment]);
    }

    pub(super) fn table_copy(&mut self, to: u32, from: u32) {
        let len = self.pop_index();
        let from_index = self.pop_index();
        let to_index = self.pop_index();
        let (to, from) = (self.index(to), self.index(from));
        let args = [to, to_index, from, from_index, len];
        self.builtin(&BuiltinSignature::table_copy, &args);
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let len = self.pop_index();
        let value = self.pop_element(table);
        let index = self.pop_index();
        let table = self.index(table);
        self.builtin(&BuiltinSignature::table_fill, &[table, index, value, len]);
    }

    pub(super) fn table_grow(&mut self, table: u32) {
        let delta = self.pop_index();
        let value = self.pop_element(table);
        let number = self.index(table);
        let old = self.builtin_result(&BuiltinSignature::table_grow, &[number, delta, value]);
        self.push_size(old, self.env.module.tables[table as usize].ty.table64);
    }

    pub(super) fn table_init(&mut self, table: u32, segment: u32) {
        let (offset, len) = self.stack.pop2();
        let index = self.pop_index();
        let (table, segment) = (self.index(table), self.index(segment));
        let args = [table, segment, index, offset, len];
        self.builtin(&BuiltinSignature::table_init, &args);
    }

    pub(super) fn elem_drop(&mut self, segment: u32) {
        let segment = self.index(segment);
        self.builtin(&BuiltinSignature::elem_drop, &[segment]);
    }

    /// A reference in the 64 bits that an element of a table has.
    pub(super) fn pop_element(&mut self, table: u32) -> Value {
        let value = self.stack.pop();
        match self.env.module.tables[table as usize].ty.element.is_gc() {
            false => value,
            true => self.builder.ins().uextend(types::I64, value),
        }
    }
}
