//! Atomic accesses, `atomic.fence`, waiting and notifying.
//!
//! All atomic accesses are sequentially consistent, in shared and in other memories. Their addresses
//! must be multiples of their sizes; that is checked first, so that it does not matter to it whether
//! the address is inside the memory. Bases of memories are aligned to host pages.
//!
//! Source: threads proposal, "Atomic Memory Accesses".

use super::Result;
use super::builtins::{Bits32, Bits64};
use super::dispatch::Atomic;
use super::function::FuncTranslator;
use super::memory::Place;
use crate::error::CompileError;
use crate::trap::TrapCode;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Type, Value};
use wasmparser::{MemArg, MemArgTarget};

impl FuncTranslator<'_, '_> {
    /// Translates an atomic operator.
    pub(super) fn atomic_operator(&mut self, operator: Atomic) -> Result {
        match operator {
            Atomic::AtomicFence { .. } => self.atomic_fence(),
            Atomic::MemoryAtomicWait32 { memarg } => self.atomic_wait(&memarg, I32),
            Atomic::MemoryAtomicWait64 { memarg } => self.atomic_wait(&memarg, I64),
            Atomic::MemoryAtomicNotify { memarg } => self.atomic_notify(&memarg),
            // Loads.
            Atomic::I32AtomicLoad { memarg } => self.atomic_load(&memarg, I32, I32),
            Atomic::I64AtomicLoad { memarg } => self.atomic_load(&memarg, I64, I64),
            Atomic::I32AtomicLoad8U { memarg } => self.atomic_load(&memarg, I8, I32),
            Atomic::I32AtomicLoad16U { memarg } => self.atomic_load(&memarg, I16, I32),
            Atomic::I64AtomicLoad8U { memarg } => self.atomic_load(&memarg, I8, I64),
            Atomic::I64AtomicLoad16U { memarg } => self.atomic_load(&memarg, I16, I64),
            Atomic::I64AtomicLoad32U { memarg } => self.atomic_load(&memarg, I32, I64),
            // Stores.
            Atomic::I32AtomicStore8 { memarg } | Atomic::I64AtomicStore8 { memarg } => {
                self.atomic_store(&memarg, I8)
            }
            Atomic::I32AtomicStore16 { memarg } | Atomic::I64AtomicStore16 { memarg } => {
                self.atomic_store(&memarg, I16)
            }
            Atomic::I32AtomicStore { memarg } | Atomic::I64AtomicStore32 { memarg } => {
                self.atomic_store(&memarg, I32)
            }
            Atomic::I64AtomicStore { memarg } => self.atomic_store(&memarg, I64),
            // Add.
            Atomic::I32AtomicRmw8AddU { memarg } | Atomic::I64AtomicRmw8AddU { memarg } => {
                self.atomic_rmw(&memarg, I8, AtomicRmwOp::Add)
            }
            Atomic::I32AtomicRmw16AddU { memarg } | Atomic::I64AtomicRmw16AddU { memarg } => {
                self.atomic_rmw(&memarg, I16, AtomicRmwOp::Add)
            }
            Atomic::I32AtomicRmwAdd { memarg } | Atomic::I64AtomicRmw32AddU { memarg } => {
                self.atomic_rmw(&memarg, I32, AtomicRmwOp::Add)
            }
            Atomic::I64AtomicRmwAdd { memarg } => self.atomic_rmw(&memarg, I64, AtomicRmwOp::Add),
            // Sub.
            Atomic::I32AtomicRmw8SubU { memarg } | Atomic::I64AtomicRmw8SubU { memarg } => {
                self.atomic_rmw(&memarg, I8, AtomicRmwOp::Sub)
            }
            Atomic::I32AtomicRmw16SubU { memarg } | Atomic::I64AtomicRmw16SubU { memarg } => {
                self.atomic_rmw(&memarg, I16, AtomicRmwOp::Sub)
            }
            Atomic::I32AtomicRmwSub { memarg } | Atomic::I64AtomicRmw32SubU { memarg } => {
                self.atomic_rmw(&memarg, I32, AtomicRmwOp::Sub)
            }
            Atomic::I64AtomicRmwSub { memarg } => self.atomic_rmw(&memarg, I64, AtomicRmwOp::Sub),
            // And.
            Atomic::I32AtomicRmw8AndU { memarg } | Atomic::I64AtomicRmw8AndU { memarg } => {
                self.atomic_rmw(&memarg, I8, AtomicRmwOp::And)
            }
            Atomic::I32AtomicRmw16AndU { memarg } | Atomic::I64AtomicRmw16AndU { memarg } => {
                self.atomic_rmw(&memarg, I16, AtomicRmwOp::And)
            }
            Atomic::I32AtomicRmwAnd { memarg } | Atomic::I64AtomicRmw32AndU { memarg } => {
                self.atomic_rmw(&memarg, I32, AtomicRmwOp::And)
            }
            Atomic::I64AtomicRmwAnd { memarg } => self.atomic_rmw(&memarg, I64, AtomicRmwOp::And),
            // Or.
            Atomic::I32AtomicRmw8OrU { memarg } | Atomic::I64AtomicRmw8OrU { memarg } => {
                self.atomic_rmw(&memarg, I8, AtomicRmwOp::Or)
            }
            Atomic::I32AtomicRmw16OrU { memarg } | Atomic::I64AtomicRmw16OrU { memarg } => {
                self.atomic_rmw(&memarg, I16, AtomicRmwOp::Or)
            }
            Atomic::I32AtomicRmwOr { memarg } | Atomic::I64AtomicRmw32OrU { memarg } => {
                self.atomic_rmw(&memarg, I32, AtomicRmwOp::Or)
            }
            Atomic::I64AtomicRmwOr { memarg } => self.atomic_rmw(&memarg, I64, AtomicRmwOp::Or),
            // Xor.
            Atomic::I32AtomicRmw8XorU { memarg } | Atomic::I64AtomicRmw8XorU { memarg } => {
                self.atomic_rmw(&memarg, I8, AtomicRmwOp::Xor)
            }
            Atomic::I32AtomicRmw16XorU { memarg } | Atomic::I64AtomicRmw16XorU { memarg } => {
                self.atomic_rmw(&memarg, I16, AtomicRmwOp::Xor)
            }
            Atomic::I32AtomicRmwXor { memarg } | Atomic::I64AtomicRmw32XorU { memarg } => {
                self.atomic_rmw(&memarg, I32, AtomicRmwOp::Xor)
            }
            Atomic::I64AtomicRmwXor { memarg } => self.atomic_rmw(&memarg, I64, AtomicRmwOp::Xor),
            // Xchg.
            Atomic::I32AtomicRmw8XchgU { memarg } | Atomic::I64AtomicRmw8XchgU { memarg } => {
                self.atomic_rmw(&memarg, I8, AtomicRmwOp::Xchg)
            }
            Atomic::I32AtomicRmw16XchgU { memarg } | Atomic::I64AtomicRmw16XchgU { memarg } => {
                self.atomic_rmw(&memarg, I16, AtomicRmwOp::Xchg)
            }
            Atomic::I32AtomicRmwXchg { memarg } | Atomic::I64AtomicRmw32XchgU { memarg } => {
                self.atomic_rmw(&memarg, I32, AtomicRmwOp::Xchg)
            }
            Atomic::I64AtomicRmwXchg { memarg } => self.atomic_rmw(&memarg, I64, AtomicRmwOp::Xchg),
            // Compare and exchange.
            Atomic::I32AtomicRmw8CmpxchgU { memarg } | Atomic::I64AtomicRmw8CmpxchgU { memarg } => {
                self.atomic_cmpxchg(&memarg, I8)
            }
            Atomic::I32AtomicRmw16CmpxchgU { memarg }
            | Atomic::I64AtomicRmw16CmpxchgU { memarg } => self.atomic_cmpxchg(&memarg, I16),
            Atomic::I32AtomicRmwCmpxchg { memarg } | Atomic::I64AtomicRmw32CmpxchgU { memarg } => {
                self.atomic_cmpxchg(&memarg, I32)
            }
            Atomic::I64AtomicRmwCmpxchg { memarg } => self.atomic_cmpxchg(&memarg, I64),
        }
    }

    fn atomic_fence(&mut self) -> Result {
        self.builder.ins().fence();
        Ok(())
    }

    fn atomic_load(&mut self, memarg: &MemArg, access: Type, result: Type) -> Result {
        let index = self.stack.pop();
        let (address, flags) = self.atomic_place(memarg, access, index)?;
        let value = self.builder.ins().atomic_load(access, flags, address);
        self.push_widened(value, result);
        Ok(())
    }

    fn atomic_store(&mut self, memarg: &MemArg, access: Type) -> Result {
        let (index, value) = self.stack.pop2();
        let (address, flags) = self.atomic_place(memarg, access, index)?;
        let value = self.narrowed(value, access);
        self.builder.ins().atomic_store(flags, value, address);
        Ok(())
    }

    fn atomic_rmw(&mut self, memarg: &MemArg, access: Type, op: AtomicRmwOp) -> Result {
        let (index, operand) = self.stack.pop2();
        let result = self.builder.func.dfg.value_type(operand);
        let (address, flags) = self.atomic_place(memarg, access, index)?;
        let operand = self.narrowed(operand, access);
        let old = self.builder.ins().atomic_rmw(access, flags, op, address, operand);
        self.push_widened(old, result);
        Ok(())
    }

    /// The expected value is compared in the width of the access.
    fn atomic_cmpxchg(&mut self, memarg: &MemArg, access: Type) -> Result {
        let (index, expected, replacement) = self.stack.pop3();
        let result = self.builder.func.dfg.value_type(expected);
        let (address, flags) = self.atomic_place(memarg, access, index)?;
        let expected = self.narrowed(expected, access);
        let replacement = self.narrowed(replacement, access);
        let old = self.builder.ins().atomic_cas(flags, address, expected, replacement);
        self.push_widened(old, result);
        Ok(())
    }

    /// Index, expected value, timeout in nanoseconds.
    fn atomic_wait(&mut self, memarg: &MemArg, width: Type) -> Result {
        let (index, expected, timeout) = self.stack.pop3();
        let (memory, index) = self.waiting_place(memarg, index)?;
        let (offset, timeout) = (memarg.offset, Bits64(timeout));
        let wait = self.builtin();
        let Bits32(outcome) = match width {
            I32 => wait.memory_atomic_wait32(memory, index, offset, Bits32(expected), timeout),
            _ => wait.memory_atomic_wait64(memory, index, offset, Bits64(expected), timeout),
        };
        self.stack.push(outcome);
        Ok(())
    }

    /// Index, how many to wake at most.
    fn atomic_notify(&mut self, memarg: &MemArg) -> Result {
        let (index, count) = self.stack.pop2();
        let (memory, index) = self.waiting_place(memarg, index)?;
        let (offset, count) = (memarg.offset, Bits32(count));
        let Bits32(woken) = self.builtin().memory_atomic_notify(memory, index, offset, count);
        self.stack.push(woken);
        Ok(())
    }

    /// Memory and index, as builtins take them.
    fn waiting_place(&mut self, memarg: &MemArg, index: Value) -> Result<(u32, Bits64)> {
        let MemArgTarget::Memory(memory) = memarg.target else {
            return Err(CompileError::Unsupported("memory instructions on arrays".into()));
        };
        Ok((memory, Bits64(self.widen(index))))
    }

    /// The address of an atomic access, after it has been found to be aligned.
    fn atomic_place(
        &mut self,
        memarg: &MemArg,
        access: Type,
        index: Value,
    ) -> Result<(Value, MemFlagsData)> {
        self.check_alignment(memarg, access, index);
        let Place { address, offset, flags } = self.effective_address(memarg, index)?;
        // Atomic instructions take no offset.
        let address = match offset {
            0 => address,
            offset => self.builder.ins().iadd_imm_s(address, i64::from(offset)),
        };
        Ok((address, flags))
    }

    fn check_alignment(&mut self, memarg: &MemArg, access: Type, index: Value) {
        let mask = i64::from(access.bytes()) - 1;
        if mask == 0 {
            return;
        }
        // Low bits of a sum depend on low bits only.
        let low = match memarg.offset as i64 & mask {
            0 => index,
            offset => self.builder.ins().iadd_imm_u(index, offset),
        };
        let misaligned = self.builder.ins().band_imm_u(low, mask);
        self.trapnz(misaligned, TrapCode::UnalignedAtomic);
    }

    fn narrowed(&mut self, value: Value, access: Type) -> Value {
        match self.builder.func.dfg.value_type(value) == access {
            true => value,
            false => self.builder.ins().ireduce(access, value),
        }
    }

    fn push_widened(&mut self, value: Value, result: Type) {
        let value = match self.builder.func.dfg.value_type(value) == result {
            true => value,
            false => self.builder.ins().uextend(result, value),
        };
        self.stack.push(value);
    }
}
