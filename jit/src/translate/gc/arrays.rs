//! `array.*`.

use super::access::Extension;
use crate::gc::{HEADER_SIZE, OBJECT_ALIGN, array_size};
use crate::translate::Result;
use crate::translate::alias::AliasRegion;
use crate::translate::builtins::{Bits32, Bits64};
use crate::translate::copy::{End, INLINE};
use crate::translate::function::FuncTranslator;
use crate::translate::memory::Place;
use crate::trap::TrapCode;
use crate::types::{CompositeType, StorageType, ValType};
use crate::vm::{ROUTINE_LIMIT, VMBuiltins};
use cranelift_codegen::ir::{
    Endianness, InstBuilder, MemFlagsData, Value, condcodes::IntCC, types,
};
use smallvec::SmallVec;
use std::mem::offset_of;

/// What the elements of a range are.
#[derive(Clone, Copy)]
enum Repeated {
    /// Zero or null.
    Zero,
    /// A value in its canonical form.
    Value(Value),
}

/// How a vector is seen as others: by its bytes in memory.
fn little_endian() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

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
        self.new_repeated(type_index, len, Repeated::Value(value));
        Ok(())
    }

    pub(in crate::translate) fn array_new_default(&mut self, type_index: u32) -> Result {
        let len = self.stack.pop();
        self.new_repeated(type_index, len, Repeated::Zero);
        Ok(())
    }

    /// A new array of elements that are all the same. Many are filled in by the builtin, which can be interrupted.
    fn new_repeated(&mut self, type_index: u32, len: Value, element: Repeated) {
        let storage = self.element_storage(type_index);
        let array = match self.inline_bytes(len, storage) {
            Some(0) => self.allocate_array(type_index, storage, len),
            Some(bytes) => {
                let array = self.allocate_array(type_index, storage, len);
                let address = self.object_address(array);
                let place = self.fresh_bytes(address, HEADER_SIZE);
                self.store_elements(place, storage, element, bytes);
                array
            }
            None => self.new_of_any_length(type_index, len, storage, element),
        };
        self.stack.push(array);
    }

    fn new_of_any_length(
        &mut self,
        type_index: u32,
        len: Value,
        storage: StorageType,
        element: Repeated,
    ) -> Value {
        let most = ROUTINE_LIMIT as u32 / storage.size();
        let is_long =
            self.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, len, i64::from(most));
        let [long, short, done] = [(); 3].map(|()| self.builder.create_block());
        let array = self.builder.append_block_param(done, types::I32);
        self.set_cold(long);
        self.builder.ins().brif(is_long, long, &[], short, &[]);

        self.enter_sealed(long);
        let [low, high] = self.both_words(storage, element);
        let Bits32(made) = self.builtin().array_new(type_index, Bits32(len), low, high);
        self.builder.ins().jump(done, &[made.into()]);

        self.enter_sealed(short);
        let made = self.allocate_array(type_index, storage, len);
        let object = self.object_address(made);
        let start = self.builder.ins().iadd_imm_u(object, i64::from(HEADER_SIZE));
        self.fill_elements(start, len, storage, element);
        self.builder.ins().jump(done, &[made.into()]);

        self.enter_sealed(done);
        self.declare_reference(array);
        array
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

    /// A new array with its header.
    fn allocate_array(&mut self, type_index: u32, storage: StorageType, len: Value) -> Value {
        let ty = self.type_id(type_index);
        let bytes = self.element_bytes(len, storage);
        let round = i64::from(HEADER_SIZE + OBJECT_ALIGN - 1);
        let size = self.builder.ins().iadd_imm_u(bytes, round);
        let mask = self.builder.ins().iconst(types::I64, -i64::from(OBJECT_ALIGN));
        let size = self.builder.ins().band(size, mask);
        self.allocate(ty, size, len)
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
        let element = Repeated::Value(self.pop_canonical());
        let (array, index) = self.stack.pop2();
        let storage = self.element_storage(type_index);
        let target = self.end_in_array(array, index);
        let count = self.widen(len);
        if let Some(bytes) = self.inline_bytes(len, storage) {
            let outside = self.exceeds(&[target], count, ROUTINE_LIMIT);
            self.trapnz(outside, TrapCode::ArrayOutOfBounds);
            if bytes > 0 {
                let address = self.array_element_address(array, index, storage);
                let place = self.fresh_bytes(address, 0);
                self.store_elements(place, storage, element, bytes);
            }
            return Ok(());
        }
        let is_slow = self.exceeds(&[target], count, ROUTINE_LIMIT / storage.size() as usize);
        self.fast_or_slow(
            is_slow,
            |this| {
                let start = this.array_element_address(array, index, storage);
                this.fill_elements(start, len, storage, element);
            },
            |this| {
                let [low, high] = this.both_words(storage, element);
                let [array, index, len] = [array, index, len].map(Bits32);
                this.builtin().array_fill(type_index, array, index, low, high, len);
            },
        );
        Ok(())
    }

    fn end_in_array(&mut self, array: Value, index: Value) -> End {
        let available = self.array_length(array);
        End { index: self.widen(index), available: self.widen(available), is_64: false }
    }

    /// Bytes of elements, if their number is a constant for which stores are best.
    fn inline_bytes(&self, len: Value, storage: StorageType) -> Option<u64> {
        let bytes = self.constant(len)?.checked_mul(storage.size().into())?;
        (bytes <= INLINE).then_some(bytes)
    }

    /// Bytes of so many elements.
    fn element_bytes(&mut self, len: Value, storage: StorageType) -> Value {
        let len = self.widen(len);
        self.builder.ins().ishl_imm_u(len, i64::from(storage.size().ilog2()))
    }

    /// A place for stores of any width. They are to be inside of an object.
    fn fresh_bytes(&mut self, address: Value, offset: u32) -> Place {
        let code = self.on_fault(TrapCode::GcHeapOutOfMemory);
        let flags = AliasRegion::Object.unaligned(self.builder.func, code);
        Place { address, offset: offset as i32, flags }
    }

    /// Stores elements that take so many bytes, not 0 and not many.
    fn store_elements(
        &mut self,
        place: Place,
        storage: StorageType,
        element: Repeated,
        bytes: u64,
    ) {
        let wide = match (element, bytes) {
            (Repeated::Value(vector), _) if storage.size() == 16 => vector,
            (element, 16..) => {
                let (low, _) = self.words(storage, element);
                let words = self.builder.ins().splat(types::I64X2, low);
                self.builder.ins().bitcast(types::I8X16, little_endian(), words)
            }
            (element, _) => self.words(storage, element).0,
        };
        self.store_repeated(place, wide, bytes);
    }

    /// Fills `len` elements, which are there and not too many for a routine.
    fn fill_elements(&mut self, start: Value, len: Value, storage: StorageType, element: Repeated) {
        let bytes = self.element_bytes(len, storage);
        match self.words(storage, element) {
            (low, None) => {
                self.run_routine(offset_of!(VMBuiltins, fill_words), &[start, low, bytes]);
            }
            (low, Some(high)) => {
                self.run_routine(offset_of!(VMBuiltins, fill_pairs), &[start, low, bytes, high]);
            }
        }
    }

    /// The word that repeats an element; two, if it is that long. Good until a collection.
    fn words(&mut self, storage: StorageType, element: Repeated) -> (Value, Option<Value>) {
        let ins = self.builder.ins();
        let Repeated::Value(value) = element else {
            return (ins.iconst(types::I64, 0), None);
        };
        let ones = match storage {
            StorageType::I8 => 0x0101_0101_0101_0101,
            StorageType::I16 => 0x0001_0001_0001_0001,
            StorageType::Val(_) if storage.size() == 4 => 0x0000_0001_0000_0001,
            StorageType::Val(ValType::V128) => {
                let pair = ins.bitcast(types::I64X2, little_endian(), value);
                let [low, high] = [0, 1].map(|lane| self.builder.ins().extractlane(pair, lane));
                return (low, Some(high));
            }
            StorageType::Val(ValType::F64) => {
                return (ins.bitcast(types::I64, MemFlagsData::new(), value), None);
            }
            StorageType::Val(_) => return (value, None),
        };
        let narrow = match storage {
            StorageType::I8 => ins.ireduce(types::I8, value),
            StorageType::I16 => ins.ireduce(types::I16, value),
            StorageType::Val(ValType::F32) => ins.bitcast(types::I32, MemFlagsData::new(), value),
            StorageType::Val(_) => value,
        };
        let one = self.builder.ins().uextend(types::I64, narrow);
        (self.builder.ins().imul_imm_u(one, ones), None)
    }

    /// The same for a builtin, which ignores what is beyond the element.
    fn both_words(&mut self, storage: StorageType, element: Repeated) -> [Bits64; 2] {
        let (low, high) = self.words(storage, element);
        [low, high.unwrap_or(low)].map(Bits64)
    }

    pub(in crate::translate) fn array_copy(&mut self, to_type: u32) -> Result {
        let len = self.stack.pop();
        let (from, from_index) = self.stack.pop2();
        let (to, to_index) = self.stack.pop2();
        let storage = self.element_storage(to_type);
        let size = storage.size();
        let target = self.end_in_array(to, to_index);
        let source = self.end_in_array(from, from_index);
        let count = self.widen(len);
        let is_slow = self.exceeds(&[target, source], count, ROUTINE_LIMIT / size as usize);
        self.fast_or_slow(
            is_slow,
            |this| {
                let dst = this.array_element_address(to, to_index, storage);
                let src = this.array_element_address(from, from_index, storage);
                let bytes = this.element_bytes(len, storage);
                this.run_routine(offset_of!(VMBuiltins, copy_bytes), &[dst, src, bytes]);
            },
            |this| {
                let [to, to_index, from, from_index, len] =
                    [to, to_index, from, from_index, len].map(Bits32);
                this.builtin().array_copy(to, to_index, from, from_index, len, size);
            },
        );
        Ok(())
    }

    pub(in crate::translate) fn array_new_data(&mut self, type_index: u32, segment: u32) -> Result {
        let (from, len) = self.stack.pop2();
        let storage = self.element_storage(type_index);
        let Some(source) = self.end_in_segment(segment, from) else {
            let Bits32(array) =
                self.builtin().array_new_data(type_index, segment, Bits32(from), Bits32(len));
            self.push_new_array(array);
            return Ok(());
        };
        let bytes = self.element_bytes(len, storage);
        let is_slow = self.exceeds(&[source.end], bytes, ROUTINE_LIMIT);
        let [slow, fast, done] = [(); 3].map(|()| self.builder.create_block());
        let array = self.builder.append_block_param(done, types::I32);
        self.set_cold(slow);
        self.builder.ins().brif(is_slow, slow, &[], fast, &[]);

        self.enter_sealed(slow);
        let Bits32(made) =
            self.builtin().array_new_data(type_index, segment, Bits32(from), Bits32(len));
        self.builder.ins().jump(done, &[made.into()]);

        self.enter_sealed(fast);
        let made = self.allocate_array(type_index, storage, len);
        let object = self.object_address(made);
        let dst = self.builder.ins().iadd_imm_u(object, i64::from(HEADER_SIZE));
        self.copy_segment(dst, source, bytes);
        self.builder.ins().jump(done, &[made.into()]);

        self.enter_sealed(done);
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
        let [array, index, from, len] = self.pop_init();
        let slow = |this: &mut Self| {
            let [array, index, from, len] = [array, index, from, len].map(Bits32);
            this.builtin().array_init_data(type_index, segment, array, index, from, len);
        };
        let Some(source) = self.end_in_segment(segment, from) else {
            slow(self);
            return Ok(());
        };
        let storage = self.element_storage(type_index);
        let target = self.end_in_array(array, index);
        let bytes = self.element_bytes(len, storage);
        let count = self.widen(len);
        let outside = self.exceeds(&[target], count, ROUTINE_LIMIT);
        let is_slow = self.exceeds(&[source.end], bytes, ROUTINE_LIMIT);
        let is_slow = self.builder.ins().bor(outside, is_slow);
        self.fast_or_slow(
            is_slow,
            |this| {
                let dst = this.array_element_address(array, index, storage);
                this.copy_segment(dst, source, bytes);
            },
            slow,
        );
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
