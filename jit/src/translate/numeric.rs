//! Arithmetic and comparisons of numbers; constants.
//!
//! Division traps come from the code generator: it tells division by zero from overflow, and gives
//! the remainder of the smallest number and -1 as 0.

use super::Result;
use super::dispatch::Numeric;
use super::function::FuncTranslator;
use super::rounding::Rounding;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    InstBuilder, Value,
    immediates::{Ieee32, Ieee64},
    types,
};
use cranelift_frontend::FuncInstBuilder;

impl<'f> FuncTranslator<'_, 'f> {
    /// Translates a constant or an operator on numbers.
    pub(super) fn numeric_operator(&mut self, operator: Numeric) -> Result {
        match operator {
            // Constants.
            Numeric::I32Const { value } => self.i32_const(value),
            Numeric::I64Const { value } => self.i64_const(value),
            Numeric::F32Const { value } => self.f32_const(value.bits()),
            Numeric::F64Const { value } => self.f64_const(value.bits()),
            // Comparisons.
            Numeric::I32Eqz | Numeric::I64Eqz => self.is_zero(),
            Numeric::I32Eq | Numeric::I64Eq => self.compare_ints(IntCC::Equal),
            Numeric::I32Ne | Numeric::I64Ne => self.compare_ints(IntCC::NotEqual),
            Numeric::I32LtS | Numeric::I64LtS => self.compare_ints(IntCC::SignedLessThan),
            Numeric::I32LtU | Numeric::I64LtU => self.compare_ints(IntCC::UnsignedLessThan),
            Numeric::I32GtS | Numeric::I64GtS => self.compare_ints(IntCC::SignedGreaterThan),
            Numeric::I32GtU | Numeric::I64GtU => self.compare_ints(IntCC::UnsignedGreaterThan),
            Numeric::I32LeS | Numeric::I64LeS => self.compare_ints(IntCC::SignedLessThanOrEqual),
            Numeric::I32LeU | Numeric::I64LeU => self.compare_ints(IntCC::UnsignedLessThanOrEqual),
            Numeric::I32GeS | Numeric::I64GeS => self.compare_ints(IntCC::SignedGreaterThanOrEqual),
            Numeric::I32GeU | Numeric::I64GeU => {
                self.compare_ints(IntCC::UnsignedGreaterThanOrEqual)
            }
            Numeric::F32Eq | Numeric::F64Eq => self.compare_floats(FloatCC::Equal),
            Numeric::F32Ne | Numeric::F64Ne => self.compare_floats(FloatCC::NotEqual),
            Numeric::F32Lt | Numeric::F64Lt => self.compare_floats(FloatCC::LessThan),
            Numeric::F32Gt | Numeric::F64Gt => self.compare_floats(FloatCC::GreaterThan),
            Numeric::F32Le | Numeric::F64Le => self.compare_floats(FloatCC::LessThanOrEqual),
            Numeric::F32Ge | Numeric::F64Ge => self.compare_floats(FloatCC::GreaterThanOrEqual),
            // Integer arithmetic.
            Numeric::I32Clz | Numeric::I64Clz => self.unary(|ins, x| ins.clz(x)),
            Numeric::I32Ctz | Numeric::I64Ctz => self.unary(|ins, x| ins.ctz(x)),
            Numeric::I32Popcnt | Numeric::I64Popcnt => self.unary(|ins, x| ins.popcnt(x)),
            Numeric::I32Add | Numeric::I64Add => self.binary(|ins, x, y| ins.iadd(x, y)),
            Numeric::I32Sub | Numeric::I64Sub => self.binary(|ins, x, y| ins.isub(x, y)),
            Numeric::I32Mul | Numeric::I64Mul => self.binary(|ins, x, y| ins.imul(x, y)),
            Numeric::I32DivS | Numeric::I64DivS => self.div_signed(),
            Numeric::I32DivU | Numeric::I64DivU => self.div_unsigned(),
            Numeric::I32RemS | Numeric::I64RemS => self.rem_signed(),
            Numeric::I32RemU | Numeric::I64RemU => self.rem_unsigned(),
            Numeric::I32And | Numeric::I64And => self.binary(|ins, x, y| ins.band(x, y)),
            Numeric::I32Or | Numeric::I64Or => self.binary(|ins, x, y| ins.bor(x, y)),
            Numeric::I32Xor | Numeric::I64Xor => self.binary(|ins, x, y| ins.bxor(x, y)),
            Numeric::I32Shl | Numeric::I64Shl => self.binary(|ins, x, y| ins.ishl(x, y)),
            Numeric::I32ShrS | Numeric::I64ShrS => self.binary(|ins, x, y| ins.sshr(x, y)),
            Numeric::I32ShrU | Numeric::I64ShrU => self.binary(|ins, x, y| ins.ushr(x, y)),
            Numeric::I32Rotl | Numeric::I64Rotl => self.binary(|ins, x, y| ins.rotl(x, y)),
            Numeric::I32Rotr | Numeric::I64Rotr => self.binary(|ins, x, y| ins.rotr(x, y)),
            // Float arithmetic.
            Numeric::F32Abs | Numeric::F64Abs => self.unary(|ins, x| ins.fabs(x)),
            Numeric::F32Neg | Numeric::F64Neg => self.unary(|ins, x| ins.fneg(x)),
            Numeric::F32Ceil | Numeric::F64Ceil => self.round_operand(Rounding::Ceil),
            Numeric::F32Floor | Numeric::F64Floor => self.round_operand(Rounding::Floor),
            Numeric::F32Trunc | Numeric::F64Trunc => self.round_operand(Rounding::Trunc),
            Numeric::F32Nearest | Numeric::F64Nearest => self.round_operand(Rounding::Nearest),
            Numeric::F32Sqrt | Numeric::F64Sqrt => self.unary(|ins, x| ins.sqrt(x)),
            Numeric::F32Add | Numeric::F64Add => self.binary(|ins, x, y| ins.fadd(x, y)),
            Numeric::F32Sub | Numeric::F64Sub => self.binary(|ins, x, y| ins.fsub(x, y)),
            Numeric::F32Mul | Numeric::F64Mul => self.binary(|ins, x, y| ins.fmul(x, y)),
            Numeric::F32Div | Numeric::F64Div => self.binary(|ins, x, y| ins.fdiv(x, y)),
            Numeric::F32Min | Numeric::F64Min => self.binary(|ins, x, y| ins.fmin(x, y)),
            Numeric::F32Max | Numeric::F64Max => self.binary(|ins, x, y| ins.fmax(x, y)),
            Numeric::F32Copysign | Numeric::F64Copysign => {
                self.binary(|ins, x, y| ins.fcopysign(x, y))
            }
        }
    }

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
