//! Relaxed operators: what the processor does by itself, or the deterministic profile.
//!
//! Source: specification section 4.3.5 "Relaxed Operations"; the deterministic profile takes the
//! first of the choices that it lists. Where the processor has no instruction of its own for a
//! choice, the deterministic one is taken, too.

use crate::arch;
use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};

impl FuncTranslator<'_, '_> {
    /// Whether results may be those of the processor's own instruction, if it `has` one.
    fn may_use(&self, has: bool) -> bool {
        has && !self.env.tunables.relaxed_simd_deterministic
    }

    fn has_relaxed_floats(&self) -> bool {
        arch::has_relaxed_floats(self.env.isa)
    }

    /// Lanes out of range give 0, or on x86 wrap around where the index is below 128.
    pub(super) fn relaxed_swizzle(&mut self) -> Result {
        match self.may_use(self.env.isa.has_x86_pshufb_lowering()) {
            true => self.vector_binary(types::I8X16, |ins, x, y| ins.x86_pshufb(x, y)),
            false => self.swizzle(),
        }
    }

    /// NaN and what is out of range give what saturation does, or the smallest number.
    pub(super) fn relaxed_trunc_f32x4_signed(&mut self) -> Result {
        match self.may_use(self.has_relaxed_floats()) {
            true => self.vector_unary(types::F32X4, |ins, x| ins.x86_cvtt2dq(types::I32X4, x)),
            false => self.trunc_sat_f32x4_signed(),
        }
    }

    /// As [`Self::relaxed_trunc_f32x4_signed`], for two doubles to the low lanes.
    pub(super) fn relaxed_trunc_f64x2_signed(&mut self) -> Result {
        if !self.may_use(self.has_relaxed_floats()) {
            return self.trunc_sat_f64x2_signed();
        }
        let zero = self.typed_vector_constant(types::I64X2, [0; 16]);
        self.vector_unary(types::F64X2, |ins, x| ins.x86_cvtt2dq(types::I64X2, x))?;
        self.unary(|ins, x| ins.snarrow(x, zero))
    }

    /// `x * y + z`, rounded once or twice.
    pub(super) fn relaxed_multiply_add(&mut self, ty: Type) -> Result {
        let (x, y, z) = self.pop_three_vectors(ty);
        self.push_multiply_add(x, y, z)
    }

    /// `-(x * y) + z`, rounded once or twice.
    pub(super) fn relaxed_negative_multiply_add(&mut self, ty: Type) -> Result {
        let (x, y, z) = self.pop_three_vectors(ty);
        let x = self.builder.ins().fneg(x);
        self.push_multiply_add(x, y, z)
    }

    fn push_multiply_add(&mut self, x: Value, y: Value, z: Value) -> Result {
        let value = if self.may_use(self.env.isa.has_native_fma()) {
            self.builder.ins().fma(x, y, z)
        } else {
            let product = self.builder.ins().fmul(x, y);
            self.builder.ins().fadd(product, z)
        };
        self.stack.push(value);
        Ok(())
    }

    /// Selects by the bits of the mask, or by the highest of each lane.
    pub(super) fn relaxed_lane_select(&mut self, ty: Type) -> Result {
        let (ones, zeros, mask) = self.pop_three_vectors(ty);
        let value = match self.may_use(self.env.isa.has_blendv_lowering(ty)) {
            true => self.builder.ins().blendv(mask, ones, zeros),
            false => self.builder.ins().bitselect(mask, ones, zeros),
        };
        self.stack.push(value);
        Ok(())
    }

    /// The minimum, where NaN and zeros of both signs may give either operand.
    pub(super) fn relaxed_min(&mut self, ty: Type) -> Result {
        match self.may_use(self.has_relaxed_floats()) {
            true => self.pseudo_min(ty),
            false => self.vector_binary(ty, |ins, x, y| ins.fmin(x, y)),
        }
    }

    /// As [`Self::relaxed_min`], the maximum.
    pub(super) fn relaxed_max(&mut self, ty: Type) -> Result {
        match self.may_use(self.has_relaxed_floats()) {
            true => self.pseudo_max(ty),
            false => self.vector_binary(ty, |ins, x, y| ins.fmax(x, y)),
        }
    }

    /// The product of fractions, where that of -1 and -1 saturates or wraps.
    pub(super) fn relaxed_q15_multiply(&mut self) -> Result {
        match self.may_use(self.env.isa.has_x86_pmulhrsw_lowering()) {
            true => self.vector_binary(types::I16X8, |ins, x, y| ins.x86_pmulhrsw(x, y)),
            false => self.vector_binary(types::I16X8, |ins, x, y| ins.sqmul_round_sat(x, y)),
        }
    }

    /// Sums of two products each, of bytes and of numbers of seven bits: the highest bit of the
    /// latter is a sign or not.
    pub(super) fn relaxed_dot(&mut self) -> Result {
        let (right, left) = (self.pop_vector(types::I8X16), self.pop_vector(types::I8X16));
        let value = match self.may_use(self.env.isa.has_x86_pmaddubsw_lowering()) {
            // It takes the second operand's bytes as unsigned.
            true => self.builder.ins().x86_pmaddubsw(left, right),
            false => {
                let [low, high] = self.byte_products(left, right);
                self.builder.ins().iadd_pairwise(low, high)
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// Sums of four products each, as in [`Self::relaxed_dot`], and an addend.
    pub(super) fn relaxed_dot_add(&mut self) -> Result {
        let addend = self.pop_vector(types::I32X4);
        let (right, left) = (self.pop_vector(types::I8X16), self.pop_vector(types::I8X16));
        let pairs = match self.may_use(self.env.isa.has_x86_pmaddubsw_lowering()) {
            true => {
                let sums = self.builder.ins().x86_pmaddubsw(left, right);
                self.pair_sums(sums)
            }
            false => {
                let [low, high] = self.byte_products(left, right);
                let (low, high) = (self.pair_sums(low), self.pair_sums(high));
                self.builder.ins().iadd_pairwise(low, high)
            }
        };
        let value = self.builder.ins().iadd(pairs, addend);
        self.stack.push(value);
        Ok(())
    }

    /// The 16 products of signed bytes, in 16 bits each.
    fn byte_products(&mut self, left: Value, right: Value) -> [Value; 2] {
        let (low_left, low_right) =
            (self.builder.ins().swiden_low(left), self.builder.ins().swiden_low(right));
        let (high_left, high_right) =
            (self.builder.ins().swiden_high(left), self.builder.ins().swiden_high(right));
        [
            self.builder.ins().imul(low_left, low_right),
            self.builder.ins().imul(high_left, high_right),
        ]
    }

    /// Sums of neighbours in twice their width.
    fn pair_sums(&mut self, value: Value) -> Value {
        let (low, high) =
            (self.builder.ins().swiden_low(value), self.builder.ins().swiden_high(value));
        self.builder.ins().iadd_pairwise(low, high)
    }

    fn pop_three_vectors(&mut self, ty: Type) -> (Value, Value, Value) {
        let third = self.pop_vector(ty);
        let second = self.pop_vector(ty);
        (self.pop_vector(ty), second, third)
    }
}
