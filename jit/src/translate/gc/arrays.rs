//! `array.*`.

use super::access::Extension;
use crate::gc::{HEADER_SIZE, OBJECT_ALIGN, array_size};
use crate::translate::Result;
use crate::translate::builtins::Bits32;
use crate::translate::function::FuncTranslator;
use crate::trap::TrapCode;
use crate::types::{CompositeType, StorageType};
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC, types};
use smallvec::SmallVec;

impl FuncTranslator<'_, '_> {
    fn element_storage(&self, type_index: u32) -> StorageType {
        match &self.env.module.types[type_index].composite {
            CompositeType::Array(ty) => ty.element.storage,
            other => unreachable!("validation says that it is an array type: {other:?}"),
        }
    }

    pub(in crate::translate) fn array_new(&mut self, type_index: u32) -> Result {
        let len = self.stack.pop();
        let value = self.pop_canonical();
        let storage = self.element_storage(type_index);
        let (array, _) = self.allocate_array(type_index, storage, len);
        self.fill_elements(array, None, len, storage, value);
        self.stack.push(array);
        Ok(())
    }

    pub(in crate::translate) fn array_new_default(&mut self, type_index: u32) -> Result {
        let len = self.stack.pop();
        let storage = self.element_storage(type_index);
        let (array, size) = self.allocate_array(type_index, storage, len);
        // All of it, a word at a time: sizes are multiples of it.
        let object = self.object_address(array);
        let start = self.builder.ins().iadd_imm_u(object, i64::from(HEADER_SIZE));
        let end = self.builder.ins().iadd(object, size);
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.fill_range(start, end, StorageType::Val(crate::types::ValType::I64), zero);
        self.stack.push(array);
        Ok(())
    }

    pub(in crate::translate) fn array_new_fixed(&mut self, type_index: u32, len: u32) -> Result {
        let count = len as usize;
        self.canonicalize_top(count);
        let values: SmallVec<[Value; 8]> = self.stack.top(count).into();
        self.stack.drop_top(count);
        let storage = self.element_storage(type_index);
        let size = array_size(storage.size(), len).expect("validation limits the operands");
        let array = self.allocate_sized(type_index, size, len);
        let address = self.object_address(array);
        for (index, &value) in values.iter().enumerate() {
            let offset = HEADER_SIZE + index as u32 * storage.size();
            let place = self.fresh_place(storage, address, offset);
            self.store_place(place, storage, value);
        }
        self.stack.push(array);
        Ok(())
    }

    /// A new array with its header; its size in bytes.
    fn allocate_array(
        &mut self,
        type_index: u32,
        storage: StorageType,
        len: Value,
    ) -> (Value, Value) {
        let ty = self.type_id(type_index);
        let wide = self.builder.ins().uextend(types::I64, len);
        let bytes = self.builder.ins().ishl_imm_u(wide, i64::from(storage.size().ilog2()));
        let round = i64::from(HEADER_SIZE + OBJECT_ALIGN - 1);
        let size = self.builder.ins().iadd_imm_u(bytes, round);
        let mask = self.builder.ins().iconst(types::I64, -i64::from(OBJECT_ALIGN));
        let size = self.builder.ins().band(size, mask);
        (self.allocate(ty, size, len), size)
    }

    pub(in crate::translate) fn array_get(
        &mut self,
        type_index: u32,
        extension: Extension,
    ) -> Result {
        let (array, index) = self.stack.pop2();
        let storage = self.element_storage(type_index);
        let place = self.element_place(array, index, storage);
        self.load_place(place, storage, extension);
        Ok(())
    }

    pub(in crate::translate) fn array_set(&mut self, type_index: u32) -> Result {
        let value = self.pop_canonical();
        let (array, index) = self.stack.pop2();
        let storage = self.element_storage(type_index);
        let place = self.element_place(array, index, storage);
        self.store_place(place, storage, value);
        Ok(())
    }

    pub(in crate::translate) fn array_len(&mut self) -> Result {
        let array = self.stack.pop();
        let len = self.array_length(array);
        self.stack.push(len);
        Ok(())
    }

    pub(in crate::translate) fn array_fill(&mut self, type_index: u32) -> Result {
        let len = self.stack.pop();
        let value = self.pop_canonical();
        let (array, index) = self.stack.pop2();
        let storage = self.element_storage(type_index);
        let available = self.array_length(array);
        let first = self.builder.ins().uextend(types::I64, index);
        let count = self.builder.ins().uextend(types::I64, len);
        let end = self.builder.ins().iadd(first, count);
        let available = self.builder.ins().uextend(types::I64, available);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, available);
        self.trapnz(outside, TrapCode::ArrayOutOfBounds);
        self.fill_elements(array, Some(index), len, storage, value);
        Ok(())
    }

    /// Stores `value` in `len` elements, which are there.
    fn fill_elements(
        &mut self,
        array: Value,
        first: Option<Value>,
        len: Value,
        storage: StorageType,
        value: Value,
    ) {
        let start = match first {
            Some(first) => self.array_element_address(array, first, storage),
            None => {
                let object = self.object_address(array);
                self.builder.ins().iadd_imm_u(object, i64::from(HEADER_SIZE))
            }
        };
        let len = self.builder.ins().uextend(types::I64, len);
        let bytes = self.builder.ins().ishl_imm_u(len, i64::from(storage.size().ilog2()));
        let end = self.builder.ins().iadd(start, bytes);
        self.fill_range(start, end, storage, value);
    }

    /// Stores `value` over and over from one address to another. Nothing in the loop may collect, so
    /// the addresses stay good.
    fn fill_range(&mut self, start: Value, end: Value, storage: StorageType, value: Value) {
        let [header, body, done] = [(); 3].map(|()| self.builder.create_block());
        let at = self.builder.append_block_param(header, types::I64);
        self.builder.ins().jump(header, &[start.into()]);
        self.builder.switch_to_block(header);
        let more = self.builder.ins().icmp(IntCC::UnsignedLessThan, at, end);
        self.builder.ins().brif(more, body, &[], done, &[]);
        self.enter_sealed(body);
        let place = self.fresh_place(storage, at, 0);
        self.store_place(place, storage, value);
        let next = self.builder.ins().iadd_imm_u(at, i64::from(storage.size()));
        self.builder.ins().jump(header, &[next.into()]);
        self.builder.seal_block(header);
        self.enter_sealed(done);
    }

    pub(in crate::translate) fn array_copy(&mut self, to_type: u32) -> Result {
        let len = self.stack.pop();
        let (from, from_index) = self.stack.pop2();
        let (to, to_index) = self.stack.pop2();
        let size = self.element_storage(to_type).size();
        let [to, to_index, from, from_index, len] =
            [to, to_index, from, from_index, len].map(Bits32);
        self.builtin().array_copy(to, to_index, from, from_index, len, size);
        Ok(())
    }

    pub(in crate::translate) fn array_new_data(&mut self, type_index: u32, segment: u32) -> Result {
        let (from, len) = self.stack.pop2();
        let Bits32(array) =
            self.builtin().array_new_data(type_index, segment, Bits32(from), Bits32(len));
        self.push_new_array(array);
        Ok(())
    }

    pub(in crate::translate) fn array_new_elem(&mut self, type_index: u32, segment: u32) -> Result {
        let (from, len) = self.stack.pop2();
        let Bits32(array) =
            self.builtin().array_new_elem(type_index, segment, Bits32(from), Bits32(len));
        self.push_new_array(array);
        Ok(())
    }

    fn push_new_array(&mut self, array: Value) {
        self.declare_reference(array);
        self.stack.push(array);
    }

    pub(in crate::translate) fn array_init_data(
        &mut self,
        type_index: u32,
        segment: u32,
    ) -> Result {
        let [array, index, from, len] = self.pop_init().map(Bits32);
        self.builtin().array_init_data(type_index, segment, array, index, from, len);
        Ok(())
    }

    pub(in crate::translate) fn array_init_elem(
        &mut self,
        type_index: u32,
        segment: u32,
    ) -> Result {
        let [array, index, from, len] = self.pop_init().map(Bits32);
        self.builtin().array_init_elem(type_index, segment, array, index, from, len);
        Ok(())
    }

    /// Array, index in it, index in a segment, and how many elements to copy.
    fn pop_init(&mut self) -> [Value; 4] {
        let (from, len) = self.stack.pop2();
        let (array, index) = self.stack.pop2();
        [array, index, from, len]
    }
}
