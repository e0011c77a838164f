//! Arithmetic, logic and comparisons, lane by lane.

use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use crate::translate::rounding::Rounding;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;

impl<'f> FuncTranslator<'_, 'f> {
    /// Rounds each lane to an integer.
    pub(super) fn round_vector(&mut self, ty: Type, rounding: Rounding) -> Result {
        let operand = self.pop_vector(ty);
        let value = self.rounded(operand, rounding);
        self.stack.push(value);
        Ok(())
    }

    // Bits.

    /// An operator to which lanes mean nothing: the newest operand keeps its type.
    pub(super) fn bitwise_unary(
        &mut self,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value) -> Value,
    ) -> Result {
        self.unary(op)
    }

    /// An operator to which lanes mean nothing: the left operand keeps its type.
    pub(super) fn bitwise_binary(
        &mut self,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value,
    ) -> Result {
        let (left, right) = self.stack.pop2();
        let ty = self.builder.func.dfg.value_type(left);
        let right = self.cast_vector(right, ty);
        let value = op(self.builder.ins(), left, right);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn bitselect(&mut self) -> Result {
        let (ones, zeros, mask) = self.stack.pop3();
        let ty = self.builder.func.dfg.value_type(ones);
        let (zeros, mask) = (self.cast_vector(zeros, ty), self.cast_vector(mask, ty));
        let value = self.builder.ins().bitselect(mask, ones, zeros);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn any_true(&mut self) -> Result {
        self.unary(|ins, x| ins.vany_true(x))?;
        self.widen_condition()
    }

    pub(super) fn all_true(&mut self, ty: Type) -> Result {
        self.vector_unary(ty, |ins, x| ins.vall_true(x))?;
        self.widen_condition()
    }

    pub(super) fn bitmask(&mut self, ty: Type) -> Result {
        self.vector_unary(ty, |ins, x| ins.vhigh_bits(types::I32, x))
    }

    // Comparisons: lanes of ones where they hold, of zeros elsewhere.

    pub(super) fn compare_int_lanes(&mut self, ty: Type, condition: IntCC) -> Result {
        self.vector_binary(ty, |ins, x, y| ins.icmp(condition, x, y))
    }

    pub(super) fn compare_float_lanes(&mut self, ty: Type, condition: FloatCC) -> Result {
        self.vector_binary(ty, |ins, x, y| ins.fcmp(condition, x, y))
    }

    // Shifts: all lanes by the same number of bits, modulo their width.

    pub(super) fn vector_shift(
        &mut self,
        ty: Type,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value,
    ) -> Result {
        let amount = self.stack.pop();
        let operand = self.pop_vector(ty);
        let value = op(self.builder.ins(), operand, amount);
        self.stack.push(value);
        Ok(())
    }

    // Pseudo-minimum and -maximum: the right operand where it is less (greater), else the left.

    pub(super) fn pseudo_min(&mut self, ty: Type) -> Result {
        let (right, left) = (self.pop_vector(ty), self.pop_vector(ty));
        let less = self.builder.ins().fcmp(FloatCC::LessThan, right, left);
        self.select_lanes(ty, less, right, left);
        Ok(())
    }

    pub(super) fn pseudo_max(&mut self, ty: Type) -> Result {
        let (right, left) = (self.pop_vector(ty), self.pop_vector(ty));
        let greater = self.builder.ins().fcmp(FloatCC::LessThan, left, right);
        self.select_lanes(ty, greater, right, left);
        Ok(())
    }

    fn select_lanes(&mut self, ty: Type, condition: Value, then: Value, otherwise: Value) {
        let mask = self.cast_vector(condition, ty);
        let value = self.builder.ins().bitselect(mask, then, otherwise);
        self.stack.push(value);
    }
}
