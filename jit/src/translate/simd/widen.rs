//! Operators whose lanes change width or kind.

use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};

/// Which lanes of a vector are widened, and how.
#[derive(Clone, Copy)]
pub(super) enum Widen {
    LowSigned,
    HighSigned,
    LowUnsigned,
    HighUnsigned,
}

impl FuncTranslator<'_, '_> {
    fn widen_lanes(&mut self, value: Value, how: Widen) -> Value {
        let ins = self.builder.ins();
        match how {
            Widen::LowSigned => ins.swiden_low(value),
            Widen::HighSigned => ins.swiden_high(value),
            Widen::LowUnsigned => ins.uwiden_low(value),
            Widen::HighUnsigned => ins.uwiden_high(value),
        }
    }

    /// Widens half of the lanes; `ty` is the type before.
    pub(super) fn extend_lanes(&mut self, ty: Type, how: Widen) -> Result {
        let operand = self.pop_vector(ty);
        let value = self.widen_lanes(operand, how);
        self.stack.push(value);
        Ok(())
    }

    /// Multiplies halves of the lanes in twice their width; `ty` is the type before.
    pub(super) fn extended_multiply(&mut self, ty: Type, how: Widen) -> Result {
        let (right, left) = (self.pop_vector(ty), self.pop_vector(ty));
        let (left, right) = (self.widen_lanes(left, how), self.widen_lanes(right, how));
        let value = self.builder.ins().imul(left, right);
        self.stack.push(value);
        Ok(())
    }

    /// Adds neighbours in twice their width; `ty` is the type before.
    pub(super) fn extended_add_pairs(&mut self, ty: Type, low: Widen, high: Widen) -> Result {
        let operand = self.pop_vector(ty);
        let (low, high) = (self.widen_lanes(operand, low), self.widen_lanes(operand, high));
        let value = self.builder.ins().iadd_pairwise(low, high);
        self.stack.push(value);
        Ok(())
    }

    /// `i32x4.dot_i16x8_s`.
    pub(super) fn dot(&mut self) -> Result {
        let (right, left) = (self.pop_vector(types::I16X8), self.pop_vector(types::I16X8));
        let [low, high] = [Widen::LowSigned, Widen::HighSigned].map(|how| {
            let (left, right) = (self.widen_lanes(left, how), self.widen_lanes(right, how));
            self.builder.ins().imul(left, right)
        });
        let value = self.builder.ins().iadd_pairwise(low, high);
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn trunc_sat_f32x4_signed(&mut self) -> Result {
        self.vector_unary(types::F32X4, |ins, x| ins.fcvt_to_sint_sat(types::I32X4, x))
    }

    pub(super) fn trunc_sat_f32x4_unsigned(&mut self) -> Result {
        self.vector_unary(types::F32X4, |ins, x| ins.fcvt_to_uint_sat(types::I32X4, x))
    }

    /// Two doubles to the low lanes, saturating twice: to 64 bits, then to 32.
    pub(super) fn trunc_sat_f64x2_signed(&mut self) -> Result {
        let zero = self.typed_vector_constant(types::I64X2, [0; 16]);
        self.vector_unary(types::F64X2, |ins, x| ins.fcvt_to_sint_sat(types::I64X2, x))?;
        self.unary(|ins, x| ins.snarrow(x, zero))
    }

    /// As [`Self::trunc_sat_f64x2_signed`], unsigned.
    pub(super) fn trunc_sat_f64x2_unsigned(&mut self) -> Result {
        if !self.env.isa.has_round() {
            return self.trunc_sat_f64x2_unsigned_one_by_one();
        }
        let zero = self.typed_vector_constant(types::I64X2, [0; 16]);
        self.vector_unary(types::F64X2, |ins, x| ins.fcvt_to_uint_sat(types::I64X2, x))?;
        self.unary(|ins, x| ins.uunarrow(x, zero))
    }

    /// Where the code generator would call a function of the host to round.
    fn trunc_sat_f64x2_unsigned_one_by_one(&mut self) -> Result {
        let operand = self.pop_vector(types::F64X2);
        let mut result = self.typed_vector_constant(types::I32X4, [0; 16]);
        for lane in 0..2 {
            let number = self.builder.ins().extractlane(operand, lane);
            let number = self.builder.ins().fcvt_to_uint_sat(types::I32, number);
            result = self.builder.ins().insertlane(result, number, lane);
        }
        self.stack.push(result);
        Ok(())
    }

    pub(super) fn convert_i32x4_signed(&mut self) -> Result {
        self.vector_unary(types::I32X4, |ins, x| ins.fcvt_from_sint(types::F32X4, x))
    }

    pub(super) fn convert_i32x4_unsigned(&mut self) -> Result {
        self.vector_unary(types::I32X4, |ins, x| ins.fcvt_from_uint(types::F32X4, x))
    }

    pub(super) fn convert_low_i32x4_signed(&mut self) -> Result {
        self.extend_lanes(types::I32X4, Widen::LowSigned)?;
        self.unary(|ins, x| ins.fcvt_from_sint(types::F64X2, x))
    }

    pub(super) fn convert_low_i32x4_unsigned(&mut self) -> Result {
        self.extend_lanes(types::I32X4, Widen::LowUnsigned)?;
        self.unary(|ins, x| ins.fcvt_from_uint(types::F64X2, x))
    }
}
