//! Rounding to integers: an instruction, or a few where the processor has none (x86 before SSE4.1).
//!
//! The few are additions that round by themselves: above 2^23 a float (2^52 a double) has no room for a
//! fraction, so to add that number and to take it off again rounds to the nearest integer, and to even
//! where two are as near. The code generator would call a function of the host, whose address does not
//! belong in code.

use super::Result;
use super::function::FuncTranslator;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};

/// Which integer a number is rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    Ceil,
    Floor,
    Trunc,
    Nearest,
}

impl FuncTranslator<'_, '_> {
    /// Rounds the newest operand, a number.
    pub(super) fn round_operand(&mut self, rounding: Rounding) -> Result {
        let x = self.stack.pop();
        let value = self.rounded(x, rounding);
        self.stack.push(value);
        Ok(())
    }

    /// `x` rounded, a number or a vector of them.
    pub(super) fn rounded(&mut self, x: Value, rounding: Rounding) -> Value {
        if !self.env.isa.has_round() {
            return self.rounded_by_additions(x, rounding);
        }
        match rounding {
            Rounding::Ceil => self.builder.ins().ceil(x),
            Rounding::Floor => self.builder.ins().floor(x),
            Rounding::Trunc => self.builder.ins().trunc(x),
            Rounding::Nearest => self.builder.ins().nearest(x),
        }
    }

    fn rounded_by_additions(&mut self, x: Value, rounding: Rounding) -> Value {
        let ty = self.builder.func.dfg.value_type(x);
        // From here on numbers are integers.
        let large = self.float_constant(ty, 8_388_608.0, 4_503_599_627_370_496.0);
        let one = self.float_constant(ty, 1.0, 1.0);
        let zero = self.float_constant(ty, 0.0, 0.0);
        let minus_zero = self.float_constant(ty, -0.0, -0.0);
        let size = self.builder.ins().fabs(x);
        let sign = self.builder.ins().band(x, minus_zero);
        let sum = self.builder.ins().fadd(size, large);
        let nearest = self.builder.ins().fsub(sum, large);
        let rounded = match rounding {
            Rounding::Nearest => nearest,
            Rounding::Trunc => {
                let less = self.builder.ins().fsub(nearest, one);
                self.select_where(FloatCC::GreaterThan, (nearest, size), less, nearest)
            }
            Rounding::Floor => {
                let nearest = self.builder.ins().bor(nearest, sign);
                let less = self.builder.ins().fsub(nearest, one);
                self.select_where(FloatCC::GreaterThan, (nearest, x), less, nearest)
            }
            Rounding::Ceil => {
                let nearest = self.builder.ins().bor(nearest, sign);
                let more = self.builder.ins().fadd(nearest, one);
                self.select_where(FloatCC::LessThan, (nearest, x), more, nearest)
            }
        };
        // Also of a result that is zero.
        let rounded = self.builder.ins().bor(rounded, sign);
        // Large numbers as they are, and NaN quiet.
        let same = self.builder.ins().fsub(x, zero);
        self.select_where(FloatCC::LessThan, (size, large), rounded, same)
    }

    /// For each lane `yes` where the comparison holds, else `no`.
    fn select_where(
        &mut self,
        condition: FloatCC,
        (left, right): (Value, Value),
        yes: Value,
        no: Value,
    ) -> Value {
        let holds = self.builder.ins().fcmp(condition, left, right);
        let ty = self.builder.func.dfg.value_type(yes);
        match ty.is_vector() {
            false => self.builder.ins().select(holds, yes, no),
            true => {
                let mask = self.cast_vector(holds, ty);
                self.builder.ins().bitselect(mask, yes, no)
            }
        }
    }

    /// A number, in every lane of a vector.
    fn float_constant(&mut self, ty: Type, single: f32, double: f64) -> Value {
        let lane = match ty.lane_type() {
            types::F32 => self.builder.ins().f32const(Ieee32::with_float(single)),
            _ => self.builder.ins().f64const(Ieee64::with_float(double)),
        };
        match ty.is_vector() {
            true => self.builder.ins().splat(ty, lane),
            false => lane,
        }
    }
}
