//! Loads and stores of linear memory, `memory.size` and `memory.grow`.
//!
//! An access outside of its memory faults, and its fault is the trap. `bounds` sees to it that every
//! access goes to the memory's own address space.

use super::Result;
use super::alias::AliasRegion;
use super::builtins::Bits64;
use super::dispatch::Memory;
use super::function::FuncTranslator;
use crate::abi;
use crate::error::CompileError;
use crate::trap::TrapCode;
use crate::vm::{VMMemory, VMMemoryRef};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;
use std::mem::offset_of;
use wasmparser::{MemArg, MemArgTarget};

/// Where an access goes: an address, a constant to add to it, and how it behaves.
pub(super) struct Place {
    pub(super) address: Value,
    pub(super) offset: i32,
    pub(super) flags: MemFlagsData,
}

impl<'f> FuncTranslator<'_, 'f> {
    /// Translates an operator on linear memories.
    pub(super) fn memory_operator(&mut self, operator: Memory) -> Result {
        match operator {
            Memory::I32Load { memarg } => self.load(&memarg, types::I32),
            Memory::I64Load { memarg } => self.load(&memarg, types::I64),
            Memory::F32Load { memarg } => self.load(&memarg, types::F32),
            Memory::F64Load { memarg } => self.load(&memarg, types::F64),
            Memory::I32Load8S { memarg } => self.load_with(&memarg, |ins, at| {
                ins.sload8(types::I32, at.flags, at.address, at.offset)
            }),
            Memory::I32Load8U { memarg } => self.load_with(&memarg, |ins, at| {
                ins.uload8(types::I32, at.flags, at.address, at.offset)
            }),
            Memory::I32Load16S { memarg } => self.load_with(&memarg, |ins, at| {
                ins.sload16(types::I32, at.flags, at.address, at.offset)
            }),
            Memory::I32Load16U { memarg } => self.load_with(&memarg, |ins, at| {
                ins.uload16(types::I32, at.flags, at.address, at.offset)
            }),
            Memory::I64Load8S { memarg } => self.load_with(&memarg, |ins, at| {
                ins.sload8(types::I64, at.flags, at.address, at.offset)
            }),
            Memory::I64Load8U { memarg } => self.load_with(&memarg, |ins, at| {
                ins.uload8(types::I64, at.flags, at.address, at.offset)
            }),
            Memory::I64Load16S { memarg } => self.load_with(&memarg, |ins, at| {
                ins.sload16(types::I64, at.flags, at.address, at.offset)
            }),
            Memory::I64Load16U { memarg } => self.load_with(&memarg, |ins, at| {
                ins.uload16(types::I64, at.flags, at.address, at.offset)
            }),
            Memory::I64Load32S { memarg } => {
                self.load_with(&memarg, |ins, at| ins.sload32(at.flags, at.address, at.offset))
            }
            Memory::I64Load32U { memarg } => {
                self.load_with(&memarg, |ins, at| ins.uload32(at.flags, at.address, at.offset))
            }
            Memory::I32Store { memarg }
            | Memory::I64Store { memarg }
            | Memory::F32Store { memarg }
            | Memory::F64Store { memarg } => self.store(&memarg),
            Memory::I32Store8 { memarg } | Memory::I64Store8 { memarg } => {
                self.store_low(&memarg, types::I8)
            }
            Memory::I32Store16 { memarg } | Memory::I64Store16 { memarg } => {
                self.store_low(&memarg, types::I16)
            }
            Memory::I64Store32 { memarg } => self.store_low(&memarg, types::I32),
            Memory::MemorySize { mem } => self.memory_size(mem),
            Memory::MemoryGrow { mem } => self.memory_grow(mem),
            // Bulk operations.
            Memory::MemoryInit { data_index, mem } => self.memory_init(mem, data_index),
            Memory::DataDrop { data_index } => self.data_drop(data_index),
            Memory::MemoryCopy { dst_mem, src_mem } => self.memory_copy(dst_mem, src_mem),
            Memory::MemoryFill { mem } => self.memory_fill(mem),
            Memory::MemoryDiscard { mem } => self.memory_discard(mem),
        }
    }

    /// Loads a whole value.
    pub(super) fn load(&mut self, memarg: &MemArg, ty: Type) -> Result {
        self.load_with(memarg, |ins, place| ins.load(ty, place.flags, place.address, place.offset))
    }

    /// Loads through an instruction of the caller's choice.
    pub(super) fn load_with(
        &mut self,
        memarg: &MemArg,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Place) -> Value,
    ) -> Result {
        let index = self.stack.pop();
        let place = self.effective_address(memarg, index)?;
        let value = op(self.builder.ins(), place);
        self.stack.push(value);
        Ok(())
    }

    /// Stores a whole value.
    pub(super) fn store(&mut self, memarg: &MemArg) -> Result {
        let (index, value) = self.stack.pop2();
        let place = self.effective_address(memarg, index)?;
        self.builder.ins().store(place.flags, value, place.address, place.offset);
        Ok(())
    }

    /// Stores the low bits of an integer.
    pub(super) fn store_low(&mut self, memarg: &MemArg, ty: Type) -> Result {
        let (index, value) = self.stack.pop2();
        let place = self.effective_address(memarg, index)?;
        let (flags, address, offset) = (place.flags, place.address, place.offset);
        let ins = self.builder.ins();
        match ty {
            types::I8 => ins.istore8(flags, value, address, offset),
            types::I16 => ins.istore16(flags, value, address, offset),
            _ => ins.istore32(flags, value, address, offset),
        };
        Ok(())
    }

    /// Where an access with this immediate and index goes.
    pub(super) fn effective_address(&mut self, memarg: &MemArg, index: Value) -> Result<Place> {
        let MemArgTarget::Memory(memory) = memarg.target else {
            return Err(CompileError::Unsupported("memory instructions on arrays".into()));
        };
        // The greatest alignment that an instruction may name is the size of its access.
        let target = self.bounded(memory, index, memarg.offset, 1 << memarg.max_align);
        let base = self.memory_base(memory);
        let mut address = self.builder.ins().iadd(base, target.index);
        let offset = match i32::try_from(target.offset) {
            Ok(offset) => offset,
            Err(_) => {
                address = self.builder.ins().iadd_imm_u(address, target.offset as i64);
                0
            }
        };
        Ok(Place { address, offset, flags: self.heap_flags() })
    }

    /// The first byte of a memory. Memories do not move.
    pub(super) fn memory_base(&mut self, memory: u32) -> Value {
        let at = self.env.offsets.memory(memory) + offset_of!(VMMemoryRef, base) as u32;
        self.context_pointer(at)
    }

    pub(super) fn heap_flags(&mut self) -> MemFlagsData {
        MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_trap_code(self.on_fault(TrapCode::MemoryOutOfBounds).map(TrapCode::to_clif))
            .with_alias_region(Some(AliasRegion::Heap.of(self.builder.func)))
    }

    pub(super) fn memory_size(&mut self, memory: u32) -> Result {
        let ty = self.env.module.memories[memory as usize];
        let bytes = self.memory_len(memory);
        let pages = self.builder.ins().ushr_imm_u(bytes, i64::from(ty.page_size_log2));
        self.push_size(pages, ty.memory64);
        Ok(())
    }

    /// Bytes in a memory now.
    pub(super) fn memory_len(&mut self, memory: u32) -> Value {
        let at = self.env.offsets.memory(memory) + offset_of!(VMMemoryRef, definition) as u32;
        let definition = self.context_pointer(at);
        let offset = offset_of!(VMMemory, len);
        let flags = AliasRegion::MemoryLength.trusted(self.builder.func);
        if self.env.module.memories[memory as usize].shared {
            // Another thread may grow it, which a loop that waits for that has to notice: an
            // atomic load is never replaced by an earlier one.
            let address = self.builder.ins().iadd_imm_u(definition, offset as i64);
            self.builder.ins().atomic_load(abi::POINTER, flags, address)
        } else {
            self.builder.ins().load(abi::POINTER, flags, definition, offset as i32)
        }
    }

    pub(super) fn memory_grow(&mut self, memory: u32) -> Result {
        let delta = self.pop_index();
        let Bits64(old) = self.builtin().memory_grow(memory, Bits64(delta));
        self.push_size(old, self.env.module.memories[memory as usize].memory64);
        Ok(())
    }

    /// An index or length, as builtins take it.
    pub(super) fn pop_index(&mut self) -> Value {
        let index = self.stack.pop();
        self.widen(index)
    }

    /// A size of 64 bits, as the memory's or table's width of addresses has it.
    pub(super) fn push_size(&mut self, size: Value, is_64: bool) {
        let size = if is_64 { size } else { self.builder.ins().ireduce(types::I32, size) };
        self.stack.push(size);
    }
}
