//! `memory.copy`, `memory.fill` and `table.copy`: copying and filling at the speed of the machine. Arrays are copied and filled
//! in the same ways (`gc/arrays.rs`).
//!
//! | length | how |
//! |---|---|
//! | a constant of 1 to [`INLINE`] bytes | loads and stores; all is loaded before anything is stored |
//! | up to [`ROUTINE_LIMIT`] | compared with the lengths of both ends, then one call of a routine |
//! | more, or out of bounds | the builtin, which can be interrupted and says what was out of bounds |
//!
//! Stores begin with the last bytes: if those are inside of the memory, so are all others, and nothing
//! is written where the operation traps.

use super::Result;
use super::builtins::{Bits32, Bits64};
use super::function::FuncTranslator;
use super::memory::Place;
use crate::vm::{ROUTINE_LIMIT, VMBuiltins, VMContext};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, InstBuilder, InstructionData, Opcode, Signature, Type, Value, ValueDef, types,
};
use smallvec::SmallVec;
use std::mem::offset_of;

/// The most bytes for which loads and stores are shorter than what a call needs.
pub(super) const INLINE: u64 = 128;

/// A part of a memory, table or array that an operation begins at.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// Where it begins: bytes of a memory, elements of a table or an array.
    pub(super) index: Value,
    /// How many there are.
    pub(super) available: Value,
    /// Whether the index may have more than 32 bits.
    pub(super) is_64: bool,
}

impl FuncTranslator<'_, '_> {
    pub(super) fn memory_copy(&mut self, to: u32, from: u32) -> Result {
        let (len, from_index, to_index) = (self.stack.pop(), self.stack.pop(), self.stack.pop());
        if let Some(len) = self.inline_len(len) {
            self.copy_inline((to, to_index), (from, from_index), len);
            return Ok(());
        }
        let len = self.widen(len);
        let source = self.end_in_memory(from, from_index);
        let target = match to == from {
            true => End { index: self.widen(to_index), ..source },
            false => self.end_in_memory(to, to_index),
        };
        let is_slow = self.exceeds(&[target, source], len, ROUTINE_LIMIT);
        self.fast_or_slow(
            is_slow,
            |this| {
                let (dst, src) = (this.memory_base(to), this.memory_base(from));
                let dst = this.builder.ins().iadd(dst, target.index);
                let src = this.builder.ins().iadd(src, source.index);
                this.run_routine(offset_of!(VMBuiltins, copy_bytes), &[dst, src, len]);
            },
            |this| {
                let (target, source) = (Bits64(target.index), Bits64(source.index));
                this.builtin().memory_copy(to, target, from, source, Bits64(len));
            },
        );
        Ok(())
    }

    pub(super) fn memory_fill(&mut self, memory: u32) -> Result {
        let (len, byte, index) = (self.stack.pop(), self.stack.pop(), self.stack.pop());
        if let Some(len) = self.inline_len(len) {
            self.fill_inline((memory, index), byte, len);
            return Ok(());
        }
        let len = self.widen(len);
        let target = self.end_in_memory(memory, index);
        let is_slow = self.exceeds(&[target], len, ROUTINE_LIMIT);
        self.fast_or_slow(
            is_slow,
            |this| {
                let dst = this.memory_base(memory);
                let dst = this.builder.ins().iadd(dst, target.index);
                this.run_routine(offset_of!(VMBuiltins, fill_bytes), &[dst, byte, len]);
            },
            |this| {
                this.builtin().memory_fill(memory, Bits64(target.index), Bits32(byte), Bits64(len));
            },
        );
        Ok(())
    }

    pub(super) fn table_copy(&mut self, to: u32, from: u32) -> Result {
        const ELEMENT: i64 = size_of::<u64>() as i64;
        let (len, from_index, to_index) = (self.pop_index(), self.stack.pop(), self.stack.pop());
        let (source_base, source) = self.end_in_table(from, from_index);
        let (target_base, target) = self.end_in_table(to, to_index);
        let mut is_slow = self.exceeds(&[target, source], len, ROUTINE_LIMIT / size_of::<u64>());
        if to != from && !self.env.module.tables[from as usize].ty.element.is_gc() {
            // Functions that are not made do not leave their table.
            let unmade = self.table_is_unmade(from);
            is_slow = self.builder.ins().bor(is_slow, unmade);
        }
        self.fast_or_slow(
            is_slow,
            |this| {
                let [to, from, bytes] = [target.index, source.index, len]
                    .map(|elements| this.builder.ins().imul_imm_u(elements, ELEMENT));
                let dst = this.builder.ins().iadd(target_base, to);
                let src = this.builder.ins().iadd(source_base, from);
                this.run_routine(offset_of!(VMBuiltins, copy_bytes), &[dst, src, bytes]);
            },
            |this| {
                let (target, source) = (Bits64(target.index), Bits64(source.index));
                this.builtin().table_copy(to, target, from, source, Bits64(len));
            },
        );
        Ok(())
    }

    pub(super) fn end_in_memory(&mut self, memory: u32, index: Value) -> End {
        let is_64 = self.env.module.memories[memory as usize].memory64;
        let index = self.widen(index);
        End { index, available: self.memory_len(memory), is_64 }
    }

    fn end_in_table(&mut self, table: u32, index: Value) -> (Value, End) {
        let is_64 = self.env.module.tables[table as usize].ty.table64;
        let index = self.widen(index);
        let (base, available) = (self.table_base(table), self.table_len(table));
        (base, End { index, available, is_64 })
    }

    /// Whether `len` is more than `most`, or leads beyond one of the ends.
    pub(super) fn exceeds(&mut self, ends: &[End], len: Value, most: usize) -> Value {
        let ins = self.builder.ins();
        let mut exceeds = ins.icmp_imm_u(IntCC::UnsignedGreaterThan, len, most as i64);
        for end in ends {
            // The length is small where it matters.
            let last = self.builder.ins().iadd(end.index, len);
            let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, last, end.available);
            exceeds = self.builder.ins().bor(exceeds, beyond);
            if end.is_64 {
                let wrapped = self.builder.ins().icmp(IntCC::UnsignedLessThan, last, len);
                exceeds = self.builder.ins().bor(exceeds, wrapped);
            }
        }
        exceeds
    }

    /// Does `slow` off the path if `is_slow`, else `fast`.
    pub(super) fn fast_or_slow(
        &mut self,
        is_slow: Value,
        fast: impl FnOnce(&mut Self),
        slow: impl FnOnce(&mut Self),
    ) {
        let [fast_block, slow_block, done]: [Block; 3] =
            std::array::from_fn(|_| self.builder.create_block());
        self.set_cold(slow_block);
        self.builder.ins().brif(is_slow, slow_block, &[], fast_block, &[]);

        self.enter_sealed(slow_block);
        slow(self);
        self.builder.ins().jump(done, &[]);

        self.enter_sealed(fast_block);
        fast(self);
        self.builder.ins().jump(done, &[]);
        self.enter_sealed(done);
    }

    /// Calls the routine at this offset of the table, and traps if it was stopped.
    pub(super) fn run_routine(&mut self, offset: usize, args: &[Value]) {
        self.count_call();
        let mut signature = Signature::new(self.env.isa.default_call_conv());
        let type_of = |&value: &Value| AbiParam::new(self.builder.func.dfg.value_type(value));
        signature.params.extend(args.iter().map(type_of));
        signature.returns.extend([AbiParam::new(types::I64); 2]);
        let signature = self.builder.import_signature(signature);
        let table = self.context_pointer(offset_of!(VMContext, builtins) as u32);
        let code = self.constant_pointer(table, offset);
        let call = self.builder.ins().call_indirect(signature, code, args);
        let &[code, addr] = self.builder.inst_results(call) else { unreachable!("two results") };

        let [stopped, done]: [Block; 2] = std::array::from_fn(|_| self.builder.create_block());
        self.set_cold(stopped);
        self.branch_off(code, stopped, done);
        self.enter_sealed(stopped);
        self.failing_builtin().raise_stopped(Bits64(code), Bits64(addr));
        self.enter_sealed(done);
    }

    /// The length, if it is a constant for which loads and stores are best.
    fn inline_len(&self, len: Value) -> Option<u64> {
        self.constant(len).filter(|len| (1..=INLINE).contains(len))
    }

    /// The value, if it is a constant that is not negative.
    pub(super) fn constant(&self, value: Value) -> Option<u64> {
        let dfg = &self.builder.func.dfg;
        let ValueDef::Result(inst, _) = dfg.value_def(value) else { return None };
        let InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } = dfg.insts[inst] else {
            return None;
        };
        u64::try_from(imm.bits()).ok()
    }

    fn copy_inline(&mut self, to: (u32, Value), from: (u32, Value), len: u64) {
        let source = self.place(from, len);
        let loaded: SmallVec<[_; 8]> = pieces(len)
            .map(|(at, ty)| {
                let offset = source.offset + at;
                (at, self.builder.ins().load(ty, source.flags, source.address, offset))
            })
            .collect();
        let target = self.place(to, len);
        for (at, value) in loaded {
            let offset = target.offset + at;
            self.builder.ins().store(target.flags, value, target.address, offset);
        }
    }

    fn fill_inline(&mut self, to: (u32, Value), byte: Value, len: u64) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let byte = self.builder.ins().ireduce(types::I8, byte);
        let wide = match len < 16 {
            true => {
                let byte = self.builder.ins().uextend(types::I64, byte);
                self.builder.ins().imul_imm_u(byte, ONES as i64)
            }
            false => self.builder.ins().splat(types::I8X16, byte),
        };
        let target = self.place(to, len);
        self.store_repeated(target, wide, len);
    }

    /// Stores a value over and over: it has 64 bits if there are less than 16 bytes, else it is a vector.
    pub(super) fn store_repeated(&mut self, target: Place, wide: Value, len: u64) {
        for (at, ty) in pieces(len) {
            let value = match ty {
                types::I64 | types::I8X16 => wide,
                narrow => self.builder.ins().ireduce(narrow, wide),
            };
            let offset = target.offset + at;
            self.builder.ins().store(target.flags, value, target.address, offset);
        }
    }

    /// Where accesses of `len` bytes from an index on go.
    fn place(&mut self, (memory, index): (u32, Value), len: u64) -> Place {
        let target = self.bounded(memory, index, 0, len);
        let base = self.memory_base(memory);
        let address = self.builder.ins().iadd(base, target.index);
        debug_assert_eq!(target.offset, 0);
        Place { address, offset: 0, flags: self.heap_flags() }
    }
}

/// The accesses that together make `len` bytes, the last bytes first.
fn pieces(len: u64) -> impl Iterator<Item = (i32, Type)> {
    let (ty, size) = match len {
        16.. => (types::I8X16, 16),
        8.. => (types::I64, 8),
        4.. => (types::I32, 4),
        2.. => (types::I16, 2),
        _ => (types::I8, 1),
    };
    let last = (len - size) as i32;
    let others = (0..last).step_by(size as usize);
    std::iter::once(last).chain(others).map(move |at| (at, ty))
}
