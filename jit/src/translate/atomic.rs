//! Atomic accesses, `atomic.fence`, waiting and notifying.
//!
//! All atomic accesses are sequentially consistent, in shared and in other memories. Their addresses
//! must be multiples of their sizes; that is checked first, so that it does not matter to it whether
//! the address is inside the memory. Bases of memories are aligned to host pages.
//!
//! Source: threads proposal, "Atomic Memory Accesses".

use super::Result;
use super::builtins::{Bits32, Bits64};
use super::dispatch::unsupported;
use super::function::FuncTranslator;
use super::memory::Place;
use crate::error::CompileError;
use crate::trap::TrapCode;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Type, Value};
use wasmparser::{MemArg, MemArgTarget, Operator};

impl FuncTranslator<'_, '_> {
    /// Translates an atomic operator.
    pub(super) fn atomic_operator(&mut self, operator: &Operator<'_>) -> Result {
        match *operator {
            Operator::AtomicFence { .. } => self.atomic_fence(),
            Operator::MemoryAtomicWait32 { ref memarg } => self.atomic_wait(memarg, I32),
            Operator::MemoryAtomicWait64 { ref memarg } => self.atomic_wait(memarg, I64),
            Operator::MemoryAtomicNotify { ref memarg } => self.atomic_notify(memarg),
            // Loads.
            Operator::I32AtomicLoad { ref memarg } => self.atomic_load(memarg, I32, I32),
            Operator::I64AtomicLoad { ref memarg } => self.atomic_load(memarg, I64, I64),
            Operator::I32AtomicLoad8U { ref memarg } => self.atomic_load(memarg, I8, I32),
            Operator::I32AtomicLoad16U { ref memarg } => self.atomic_load(memarg, I16, I32),
            Operator::I64AtomicLoad8U { ref memarg } => self.atomic_load(memarg, I8, I64),
            Operator::I64AtomicLoad16U { ref memarg } => self.atomic_load(memarg, I16, I64),
            Operator::I64AtomicLoad32U { ref memarg } => self.atomic_load(memarg, I32, I64),
            // Stores.
            Operator::I32AtomicStore8 { ref memarg } | Operator::I64AtomicStore8 { ref memarg } => {
                self.atomic_store(memarg, I8)
            }
            Operator::I32AtomicStore16 { ref memarg }
            | Operator::I64AtomicStore16 { ref memarg } => self.atomic_store(memarg, I16),
            Operator::I32AtomicStore { ref memarg } | Operator::I64AtomicStore32 { ref memarg } => {
                self.atomic_store(memarg, I32)
            }
            Operator::I64AtomicStore { ref memarg } => self.atomic_store(memarg, I64),
            // Add.
            Operator::I32AtomicRmw8AddU { ref memarg }
            | Operator::I64AtomicRmw8AddU { ref memarg } => {
                self.atomic_rmw(memarg, I8, AtomicRmwOp::Add)
            }
            Operator::I32AtomicRmw16AddU { ref memarg }
            | Operator::I64AtomicRmw16AddU { ref memarg } => {
                self.atomic_rmw(memarg, I16, AtomicRmwOp::Add)
            }
            Operator::I32AtomicRmwAdd { ref memarg }
            | Operator::I64AtomicRmw32AddU { ref memarg } => {
                self.atomic_rmw(memarg, I32, AtomicRmwOp::Add)
            }
            Operator::I64AtomicRmwAdd { ref memarg } => {
                self.atomic_rmw(memarg, I64, AtomicRmwOp::Add)
            }
            // Sub.
            Operator::I32AtomicRmw8SubU { ref memarg }
            | Operator::I64AtomicRmw8SubU { ref memarg } => {
                self.atomic_rmw(memarg, I8, AtomicRmwOp::Sub)
            }
            Operator::I32AtomicRmw16SubU { ref memarg }
            | Operator::I64AtomicRmw16SubU { ref memarg } => {
                self.atomic_rmw(memarg, I16, AtomicRmwOp::Sub)
            }
            Operator::I32AtomicRmwSub { ref memarg }
            | Operator::I64AtomicRmw32SubU { ref memarg } => {
                self.atomic_rmw(memarg, I32, AtomicRmwOp::Sub)
            }
            Operator::I64AtomicRmwSub { ref memarg } => {
                self.atomic_rmw(memarg, I64, AtomicRmwOp::Sub)
            }
            // And.
            Operator::I32AtomicRmw8AndU { ref memarg }
            | Operator::I64AtomicRmw8AndU { ref memarg } => {
                self.atomic_rmw(memarg, I8, AtomicRmwOp::And)
            }
            Operator::I32AtomicRmw16AndU { ref memarg }
            | Operator::I64AtomicRmw16AndU { ref memarg } => {
                self.atomic_rmw(memarg, I16, AtomicRmwOp::And)
            }
            Operator::I32AtomicRmwAnd { ref memarg }
            | Operator::I64AtomicRmw32AndU { ref memarg } => {
                self.atomic_rmw(memarg, I32, AtomicRmwOp::And)
            }
            Operator::I64AtomicRmwAnd { ref memarg } => {
                self.atomic_rmw(memarg, I64, AtomicRmwOp::And)
            }
            // Or.
            Operator::I32AtomicRmw8OrU { ref memarg }
            | Operator::I64AtomicRmw8OrU { ref memarg } => {
                self.atomic_rmw(memarg, I8, AtomicRmwOp::Or)
            }
            Operator::I32AtomicRmw16OrU { ref memarg }
            | Operator::I64AtomicRmw16OrU { ref memarg } => {
                self.atomic_rmw(memarg, I16, AtomicRmwOp::Or)
            }
            Operator::I32AtomicRmwOr { ref memarg }
            | Operator::I64AtomicRmw32OrU { ref memarg } => {
                self.atomic_rmw(memarg, I32, AtomicRmwOp::Or)
            }
            Operator::I64AtomicRmwOr { ref memarg } => {
                self.atomic_rmw(memarg, I64, AtomicRmwOp::Or)
            }
            // Xor.
            Operator::I32AtomicRmw8XorU { ref memarg }
            | Operator::I64AtomicRmw8XorU { ref memarg } => {
                self.atomic_rmw(memarg, I8, AtomicRmwOp::Xor)
            }
            Operator::I32AtomicRmw16XorU { ref memarg }
            | Operator::I64AtomicRmw16XorU { ref memarg } => {
                self.atomic_rmw(memarg, I16, AtomicRmwOp::Xor)
            }
            Operator::I32AtomicRmwXor { ref memarg }
            | Operator::I64AtomicRmw32XorU { ref memarg } => {
                self.atomic_rmw(memarg, I32, AtomicRmwOp::Xor)
            }
            Operator::I64AtomicRmwXor { ref memarg } => {
                self.atomic_rmw(memarg, I64, AtomicRmwOp::Xor)
            }
            // Xchg.
            Operator::I32AtomicRmw8XchgU { ref memarg }
            | Operator::I64AtomicRmw8XchgU { ref memarg } => {
                self.atomic_rmw(memarg, I8, AtomicRmwOp::Xchg)
            }
            Operator::I32AtomicRmw16XchgU { ref memarg }
            | Operator::I64AtomicRmw16XchgU { ref memarg } => {
                self.atomic_rmw(memarg, I16, AtomicRmwOp::Xchg)
            }
            Operator::I32AtomicRmwXchg { ref memarg }
            | Operator::I64AtomicRmw32XchgU { ref memarg } => {
                self.atomic_rmw(memarg, I32, AtomicRmwOp::Xchg)
            }
            Operator::I64AtomicRmwXchg { ref memarg } => {
                self.atomic_rmw(memarg, I64, AtomicRmwOp::Xchg)
            }
            // Compare and exchange.
            Operator::I32AtomicRmw8CmpxchgU { ref memarg }
            | Operator::I64AtomicRmw8CmpxchgU { ref memarg } => self.atomic_cmpxchg(memarg, I8),
            Operator::I32AtomicRmw16CmpxchgU { ref memarg }
            | Operator::I64AtomicRmw16CmpxchgU { ref memarg } => self.atomic_cmpxchg(memarg, I16),
            Operator::I32AtomicRmwCmpxchg { ref memarg }
            | Operator::I64AtomicRmw32CmpxchgU { ref memarg } => self.atomic_cmpxchg(memarg, I32),
            Operator::I64AtomicRmwCmpxchg { ref memarg } => self.atomic_cmpxchg(memarg, I64),
            ref other => Err(unsupported(other)),
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
