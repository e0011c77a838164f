//! Arithmetic on numbers of 128 bits, in two halves each, the low one first.

use super::Result;
use super::dispatch::Wide;
use super::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FuncInstBuilder;

impl<'f> FuncTranslator<'_, 'f> {
    /// Translates an operator on numbers of 128 bits.
    pub(super) fn wide_operator(&mut self, operator: Wide) -> Result {
        match operator {
            Wide::I64Add128 => self.wide_binary(|ins, x, y| ins.iadd(x, y)),
            Wide::I64Sub128 => self.wide_binary(|ins, x, y| ins.isub(x, y)),
            Wide::I64MulWideS => self.wide_multiply(|ins, x| ins.sextend(types::I128, x)),
            Wide::I64MulWideU => self.wide_multiply(|ins, x| ins.uextend(types::I128, x)),
        }
    }

    /// Two numbers of 128 bits to one.
    pub(super) fn wide_binary(
        &mut self,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value,
    ) -> Result {
        let (low, high) = self.stack.pop2();
        let right = self.builder.ins().iconcat(low, high);
        let (low, high) = self.stack.pop2();
        let left = self.builder.ins().iconcat(low, high);
        let value = op(self.builder.ins(), left, right);
        self.push_halves(value);
        Ok(())
    }

    /// Two numbers of 64 bits, widened by `extend`, to their product.
    pub(super) fn wide_multiply(
        &mut self,
        mut extend: impl FnMut(FuncInstBuilder<'_, 'f>, Value) -> Value,
    ) -> Result {
        let (left, right) = self.stack.pop2();
        let left = extend(self.builder.ins(), left);
        let right = extend(self.builder.ins(), right);
        let value = self.builder.ins().imul(left, right);
        debug_assert_eq!(self.builder.func.dfg.value_type(value), types::I128);
        self.push_halves(value);
        Ok(())
    }

    fn push_halves(&mut self, value: Value) {
        let (low, high) = self.builder.ins().isplit(value);
        self.stack.push(low);
        self.stack.push(high);
    }
}
