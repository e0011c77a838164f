//! Arithmetic and comparisons of numbers; constants.
//!
//! Division traps come from the code generator: it tells division by zero from overflow, and gives
//! the remainder of the smallest number and -1 as 0.

use super::Result;
use super::function::FuncTranslator;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    InstBuilder, Value,
    immediates::{Ieee32, Ieee64},
    types,
};
use cranelift_frontend::FuncInstBuilder;

impl<'f> FuncTranslator<'_, 'f> {
    /// Replaces the newest operand.
    pub(super) fn unary(
        &mut self,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value) -> Value,
    ) -> Result {
        let operand = self.stack.pop();
        let value = op(self.builder.ins(), operand);
        self.stack.push(value);
        Ok(())
    }

    /// Replaces the two newest operands.
    pub(super) fn binary(
        &mut self,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value,
    ) -> Result {
        let (left, right) = self.stack.pop2();
        let value = op(self.builder.ins(), left, right);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn i32_const(&mut self, value: i32) -> Result {
        // CLIF wants the bits of a narrow constant, not its sign.
        let value = self.builder.ins().iconst(types::I32, i64::from(value as u32));
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn i64_const(&mut self, value: i64) -> Result {
        let value = self.builder.ins().iconst(types::I64, value);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn f32_const(&mut self, bits: u32) -> Result {
        let value = self.builder.ins().f32const(Ieee32::with_bits(bits));
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn f64_const(&mut self, bits: u64) -> Result {
        let value = self.builder.ins().f64const(Ieee64::with_bits(bits));
        self.stack.push(value);
        Ok(())
    }

    /// `eqz`, and `ref.is_null`: references are null when they are zero.
    pub(super) fn is_zero(&mut self) -> Result {
        self.unary(|ins, x| ins.icmp_imm_u(IntCC::Equal, x, 0))?;
        self.widen_condition()
    }

    pub(super) fn compare_ints(&mut self, condition: IntCC) -> Result {
        self.binary(|ins, x, y| ins.icmp(condition, x, y))?;
        self.widen_condition()
    }

    pub(super) fn compare_floats(&mut self, condition: FloatCC) -> Result {
        self.binary(|ins, x, y| ins.fcmp(condition, x, y))?;
        self.widen_condition()
    }

    /// CLIF's truth is 8 bits wide, wasm's 32.
    pub(super) fn widen_condition(&mut self) -> Result {
        self.unary(|ins, x| ins.uextend(types::I32, x))
    }
}
