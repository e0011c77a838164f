//! Keeping accesses inside their memory's address space.
//!
//! | memory | what keeps it inside |
//! |---|---|
//! | 32-bit addresses | nothing: address space follows that no index and offset of 32 bits leave |
//! | 64-bit addresses | the index is clamped to the reservation's end |
//! | pages of 1 byte | the access is compared with the exact length |
//! | any, where no access may fault or address space is scarce | the same, and a branch to the trap |
//!
//! Every 64-bit memory of an engine has the same reservation, whatever its maximum, and behind it
//! address space for offsets of 31 bits. So a clamp compares with a constant and depends on nothing
//! but the index: accesses through one index, at any usual offset, share it, and it moves out of
//! loops with it. A clamped access faults, as does any between the memory's length and the end of the
//! reservation, and that fault is the trap. There is no branch, so there is nothing for the processor
//! to speculate past: what it does with a wrong index stays inside the reservation, too.

use super::function::FuncTranslator;
use crate::abi;
use crate::types::MemoryType;
use crate::vm::MemoryReach;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, Value, ValueDef, types};

/// An index into a memory's address space, and a constant to add to it.
pub(super) struct Target {
    pub(super) index: Value,
    pub(super) offset: u64,
}

/// How many instructions are looked through for what bounds an index.
const LOOK_BACK: u32 = 4;

impl FuncTranslator<'_, '_> {
    /// Where an access of `size` bytes at `index + offset` may go: that address if it is inside the
    /// memory, else one that faults.
    pub(super) fn bounded(&mut self, memory: u32, index: Value, offset: u64, size: u64) -> Target {
        let ty = self.env.module.memories[memory as usize];
        let index = self.widen(index);
        if self.checks_memory() && self.is_always_inside(ty, index, offset, size) {
            return Target { index, offset };
        }
        if ty.page_size_log2 == 0 || self.checks_memory() {
            return self.compared(memory, index, offset, size);
        }
        match ty.memory64 {
            true => self.clamped(memory, index, offset),
            false => Target { index, offset },
        }
    }

    /// How far accesses to a memory reach.
    fn reach(&self, memory: u32) -> MemoryReach {
        MemoryReach::of(self.env.module.memories[memory as usize].memory64, self.env.tunables)
    }

    fn clamped(&mut self, memory: u32, index: Value, offset: u64) -> Target {
        let reach = self.reach(memory);
        // What the guard does not cover counts against the index.
        let covered = reach.covers(offset);
        let greatest = if covered { Some(reach.end()) } else { reach.end().checked_sub(offset) };
        match greatest {
            Some(greatest) => Target { index: self.clamp(index, greatest), offset },
            None => self.nowhere(memory),
        }
    }

    fn clamp(&mut self, index: Value, greatest: u64) -> Value {
        if self.known_greatest(index, LOOK_BACK) <= greatest {
            return index;
        }
        let greatest = self.builder.ins().iconst(types::I64, greatest as i64);
        self.builder.ins().umin(index, greatest)
    }

    /// Whether the memory has the bytes that are accessed from the start: memories never shrink.
    fn is_always_inside(&self, ty: MemoryType, index: Value, offset: u64, size: u64) -> bool {
        let end = self.known_greatest(index, LOOK_BACK).checked_add(offset);
        let end = end.and_then(|end| end.checked_add(size));
        let least = ty.minimum.checked_mul(ty.page_size());
        matches!((end, least), (Some(end), Some(least)) if end <= least)
    }

    /// An access that is compared with the length; outside of it, it goes to where nothing is.
    fn compared(&mut self, memory: u32, index: Value, offset: u64, size: u64) -> Target {
        let memory64 = self.env.module.memories[memory as usize].memory64;
        let Some(reach) = offset.checked_add(size) else {
            if self.checks_memory() {
                let always = self.builder.ins().iconst(types::I32, 1);
                self.check_memory(always, memory, index, offset);
            }
            return self.nowhere(memory);
        };
        let len = self.memory_len(memory);
        let reach = self.builder.ins().iconst(types::I64, reach as i64);
        let is_outside = if memory64 {
            let (end, wrapped) = self.builder.ins().uadd_overflow(index, reach);
            let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, len);
            self.builder.ins().bor(beyond, wrapped)
        } else {
            let end = self.builder.ins().iadd(index, reach);
            self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, len)
        };
        self.check_memory(is_outside, memory, index, offset);
        let Target { index: outside, .. } = self.nowhere(memory);
        let inside = self.builder.ins().iadd_imm_u(index, offset as i64);
        let index = self.builder.ins().select_spectre_guard(is_outside, outside, inside);
        Target { index, offset: 0 }
    }

    /// The place behind all that can be accessible.
    fn nowhere(&mut self, memory: u32) -> Target {
        let end = self.reach(memory).end() as i64;
        Target { index: self.builder.ins().iconst(types::I64, end), offset: 0 }
    }

    /// An index or length, 32 or 64 bits wide, with 64 bits.
    pub(super) fn widen(&mut self, index: Value) -> Value {
        match self.builder.func.dfg.value_type(index) {
            abi::POINTER => index,
            _ => self.builder.ins().uextend(abi::POINTER, index),
        }
    }

    /// What `value` never exceeds, as far as the instructions just before tell; of narrow values, what it would be if they
    /// did not wrap.
    fn known_greatest(&self, value: Value, depth: u32) -> u64 {
        let dfg = &self.builder.func.dfg;
        let ValueDef::Result(inst, _) = dfg.value_def(value) else { return u64::MAX };
        let Some(depth) = depth.checked_sub(1) else { return u64::MAX };
        match dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => imm.bits() as u64,
            InstructionData::Unary { opcode: Opcode::Uextend, arg } => {
                let most = u64::MAX >> (64 - dfg.value_type(arg).bits());
                most.min(self.known_greatest(arg, depth))
            }
            InstructionData::Load { opcode: Opcode::Uload8, .. } => u8::MAX.into(),
            InstructionData::Load { opcode: Opcode::Uload16, .. } => u16::MAX.into(),
            InstructionData::Load { opcode: Opcode::Uload32, .. } => u32::MAX.into(),
            InstructionData::Binary { opcode, args: [left, right] } => {
                let (left, right) =
                    (self.known_greatest(left, depth), self.known_greatest(right, depth));
                match opcode {
                    Opcode::Band | Opcode::Umin => left.min(right),
                    Opcode::Iadd => left.saturating_add(right),
                    Opcode::Imul => left.saturating_mul(right),
                    Opcode::Ishl if right < 64 => left.saturating_mul(1 << right),
                    _ => u64::MAX,
                }
            }
            _ => u64::MAX,
        }
    }
}
