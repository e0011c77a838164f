//! Bulk operations on memories and tables that are calls of builtins; `copy` has the others.
//!
//! Addresses, indices and lengths in memories and tables become 64 bits wide; those in segments stay
//! at 32. A length that counts in two memories or tables has 64 bits only where both have.

use super::Result;
use super::builtins::{Bits32, Bits64};
use super::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl FuncTranslator<'_, '_> {
    pub(super) fn memory_discard(&mut self, memory: u32) -> Result {
        let len = Bits64(self.pop_index());
        let address = Bits64(self.pop_index());
        self.builtin().memory_discard(memory, address, len);
        Ok(())
    }

    pub(super) fn data_drop(&mut self, segment: u32) -> Result {
        self.builtin().data_drop(segment);
        Ok(())
    }

    pub(super) fn table_fill(&mut self, table: u32) -> Result {
        let len = Bits64(self.pop_index());
        let value = Bits64(self.pop_element(table));
        let index = Bits64(self.pop_index());
        self.builtin().table_fill(table, index, value, len);
        Ok(())
    }

    pub(super) fn table_grow(&mut self, table: u32) -> Result {
        let delta = Bits64(self.pop_index());
        let value = Bits64(self.pop_element(table));
        let Bits64(old) = self.builtin().table_grow(table, delta, value);
        self.push_size(old, self.env.module.tables[table as usize].ty.table64);
        Ok(())
    }

    pub(super) fn table_init(&mut self, table: u32, segment: u32) -> Result {
        let (from, len) = self.stack.pop2();
        let index = Bits64(self.pop_index());
        self.builtin().table_init(table, segment, index, Bits32(from), Bits32(len));
        Ok(())
    }

    pub(super) fn elem_drop(&mut self, segment: u32) -> Result {
        self.builtin().elem_drop(segment);
        Ok(())
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
