//! The table of the vector operators, grouped as in the specification.

use super::widen::Widen::{HighSigned, HighUnsigned, LowSigned, LowUnsigned};
use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use crate::translate::rounding::Rounding;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use wasmparser::Operator;

impl FuncTranslator<'_, '_> {
    /// Translates a vector operator.
    pub(in crate::translate) fn vector_operator(&mut self, operator: &Operator<'_>) -> Result {
        match *operator {
            // Memory.
            Operator::V128Load { ref memarg } => self.load(memarg, I8X16),
            Operator::V128Load8x8S { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.sload8x8(at.flags, at.address, at.offset))
            }
            Operator::V128Load8x8U { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.uload8x8(at.flags, at.address, at.offset))
            }
            Operator::V128Load16x4S { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.sload16x4(at.flags, at.address, at.offset))
            }
            Operator::V128Load16x4U { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.uload16x4(at.flags, at.address, at.offset))
            }
            Operator::V128Load32x2S { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.sload32x2(at.flags, at.address, at.offset))
            }
            Operator::V128Load32x2U { ref memarg } => {
                self.load_with(memarg, |ins, at| ins.uload32x2(at.flags, at.address, at.offset))
            }
            Operator::V128Load8Splat { ref memarg } => self.load_splat(memarg, I8X16),
            Operator::V128Load16Splat { ref memarg } => self.load_splat(memarg, I16X8),
            Operator::V128Load32Splat { ref memarg } => self.load_splat(memarg, I32X4),
            Operator::V128Load64Splat { ref memarg } => self.load_splat(memarg, I64X2),
            Operator::V128Load32Zero { ref memarg } => self.load_zero(memarg, I32X4),
            Operator::V128Load64Zero { ref memarg } => self.load_zero(memarg, I64X2),
            Operator::V128Store { ref memarg } => self.store(memarg),
            Operator::V128Load8Lane { ref memarg, lane } => self.load_lane(memarg, I8X16, lane),
            Operator::V128Load16Lane { ref memarg, lane } => self.load_lane(memarg, I16X8, lane),
            Operator::V128Load32Lane { ref memarg, lane } => self.load_lane(memarg, I32X4, lane),
            Operator::V128Load64Lane { ref memarg, lane } => self.load_lane(memarg, I64X2, lane),
            Operator::V128Store8Lane { ref memarg, lane } => self.store_lane(memarg, I8X16, lane),
            Operator::V128Store16Lane { ref memarg, lane } => self.store_lane(memarg, I16X8, lane),
            Operator::V128Store32Lane { ref memarg, lane } => self.store_lane(memarg, I32X4, lane),
            Operator::V128Store64Lane { ref memarg, lane } => self.store_lane(memarg, I64X2, lane),
            // Lanes.
            Operator::V128Const { value } => self.v128_const(value),
            Operator::I8x16Shuffle { lanes } => self.shuffle(lanes),
            Operator::I8x16Swizzle => self.swizzle(),
            Operator::I8x16Splat => self.splat_low(I8X16),
            Operator::I16x8Splat => self.splat_low(I16X8),
            Operator::I32x4Splat => self.splat(I32X4),
            Operator::I64x2Splat => self.splat(I64X2),
            Operator::F32x4Splat => self.splat(F32X4),
            Operator::F64x2Splat => self.splat(F64X2),
            Operator::I8x16ExtractLaneS { lane } => self.extract_lane_signed(I8X16, lane),
            Operator::I8x16ExtractLaneU { lane } => self.extract_lane_unsigned(I8X16, lane),
            Operator::I8x16ReplaceLane { lane } => self.replace_lane_low(I8X16, lane),
            Operator::I16x8ExtractLaneS { lane } => self.extract_lane_signed(I16X8, lane),
            Operator::I16x8ExtractLaneU { lane } => self.extract_lane_unsigned(I16X8, lane),
            Operator::I16x8ReplaceLane { lane } => self.replace_lane_low(I16X8, lane),
            Operator::I32x4ExtractLane { lane } => self.extract_lane(I32X4, lane),
            Operator::I32x4ReplaceLane { lane } => self.replace_lane(I32X4, lane),
            Operator::I64x2ExtractLane { lane } => self.extract_lane(I64X2, lane),
            Operator::I64x2ReplaceLane { lane } => self.replace_lane(I64X2, lane),
            Operator::F32x4ExtractLane { lane } => self.extract_lane(F32X4, lane),
            Operator::F32x4ReplaceLane { lane } => self.replace_lane(F32X4, lane),
            Operator::F64x2ExtractLane { lane } => self.extract_lane(F64X2, lane),
            Operator::F64x2ReplaceLane { lane } => self.replace_lane(F64X2, lane),
            // Comparisons.
            Operator::I8x16Eq => self.compare_int_lanes(I8X16, IntCC::Equal),
            Operator::I8x16Ne => self.compare_int_lanes(I8X16, IntCC::NotEqual),
            Operator::I8x16LtS => self.compare_int_lanes(I8X16, IntCC::SignedLessThan),
            Operator::I8x16LtU => self.compare_int_lanes(I8X16, IntCC::UnsignedLessThan),
            Operator::I8x16GtS => self.compare_int_lanes(I8X16, IntCC::SignedGreaterThan),
            Operator::I8x16GtU => self.compare_int_lanes(I8X16, IntCC::UnsignedGreaterThan),
            Operator::I8x16LeS => self.compare_int_lanes(I8X16, IntCC::SignedLessThanOrEqual),
            Operator::I8x16LeU => self.compare_int_lanes(I8X16, IntCC::UnsignedLessThanOrEqual),
            Operator::I8x16GeS => self.compare_int_lanes(I8X16, IntCC::SignedGreaterThanOrEqual),
            Operator::I8x16GeU => self.compare_int_lanes(I8X16, IntCC::UnsignedGreaterThanOrEqual),
            Operator::I16x8Eq => self.compare_int_lanes(I16X8, IntCC::Equal),
            Operator::I16x8Ne => self.compare_int_lanes(I16X8, IntCC::NotEqual),
            Operator::I16x8LtS => self.compare_int_lanes(I16X8, IntCC::SignedLessThan),
            Operator::I16x8LtU => self.compare_int_lanes(I16X8, IntCC::UnsignedLessThan),
            Operator::I16x8GtS => self.compare_int_lanes(I16X8, IntCC::SignedGreaterThan),
            Operator::I16x8GtU => self.compare_int_lanes(I16X8, IntCC::UnsignedGreaterThan),
            Operator::I16x8LeS => self.compare_int_lanes(I16X8, IntCC::SignedLessThanOrEqual),
            Operator::I16x8LeU => self.compare_int_lanes(I16X8, IntCC::UnsignedLessThanOrEqual),
            Operator::I16x8GeS => self.compare_int_lanes(I16X8, IntCC::SignedGreaterThanOrEqual),
            Operator::I16x8GeU => self.compare_int_lanes(I16X8, IntCC::UnsignedGreaterThanOrEqual),
            Operator::I32x4Eq => self.compare_int_lanes(I32X4, IntCC::Equal),
            Operator::I32x4Ne => self.compare_int_lanes(I32X4, IntCC::NotEqual),
            Operator::I32x4LtS => self.compare_int_lanes(I32X4, IntCC::SignedLessThan),
            Operator::I32x4LtU => self.compare_int_lanes(I32X4, IntCC::UnsignedLessThan),
            Operator::I32x4GtS => self.compare_int_lanes(I32X4, IntCC::SignedGreaterThan),
            Operator::I32x4GtU => self.compare_int_lanes(I32X4, IntCC::UnsignedGreaterThan),
            Operator::I32x4LeS => self.compare_int_lanes(I32X4, IntCC::SignedLessThanOrEqual),
            Operator::I32x4LeU => self.compare_int_lanes(I32X4, IntCC::UnsignedLessThanOrEqual),
            Operator::I32x4GeS => self.compare_int_lanes(I32X4, IntCC::SignedGreaterThanOrEqual),
            Operator::I32x4GeU => self.compare_int_lanes(I32X4, IntCC::UnsignedGreaterThanOrEqual),
            Operator::I64x2Eq => self.compare_int_lanes(I64X2, IntCC::Equal),
            Operator::I64x2Ne => self.compare_int_lanes(I64X2, IntCC::NotEqual),
            Operator::I64x2LtS => self.compare_int_lanes(I64X2, IntCC::SignedLessThan),
            Operator::I64x2GtS => self.compare_int_lanes(I64X2, IntCC::SignedGreaterThan),
            Operator::I64x2LeS => self.compare_int_lanes(I64X2, IntCC::SignedLessThanOrEqual),
            Operator::I64x2GeS => self.compare_int_lanes(I64X2, IntCC::SignedGreaterThanOrEqual),
            Operator::F32x4Eq => self.compare_float_lanes(F32X4, FloatCC::Equal),
            Operator::F32x4Ne => self.compare_float_lanes(F32X4, FloatCC::NotEqual),
            Operator::F32x4Lt => self.compare_float_lanes(F32X4, FloatCC::LessThan),
            Operator::F32x4Gt => self.compare_float_lanes(F32X4, FloatCC::GreaterThan),
            Operator::F32x4Le => self.compare_float_lanes(F32X4, FloatCC::LessThanOrEqual),
            Operator::F32x4Ge => self.compare_float_lanes(F32X4, FloatCC::GreaterThanOrEqual),
            Operator::F64x2Eq => self.compare_float_lanes(F64X2, FloatCC::Equal),
            Operator::F64x2Ne => self.compare_float_lanes(F64X2, FloatCC::NotEqual),
            Operator::F64x2Lt => self.compare_float_lanes(F64X2, FloatCC::LessThan),
            Operator::F64x2Gt => self.compare_float_lanes(F64X2, FloatCC::GreaterThan),
            Operator::F64x2Le => self.compare_float_lanes(F64X2, FloatCC::LessThanOrEqual),
            Operator::F64x2Ge => self.compare_float_lanes(F64X2, FloatCC::GreaterThanOrEqual),
            // Bits.
            Operator::V128Not => self.bitwise_unary(|ins, x| ins.bnot(x)),
            Operator::V128And => self.bitwise_binary(|ins, x, y| ins.band(x, y)),
            Operator::V128AndNot => self.bitwise_binary(|ins, x, y| ins.band_not(x, y)),
            Operator::V128Or => self.bitwise_binary(|ins, x, y| ins.bor(x, y)),
            Operator::V128Xor => self.bitwise_binary(|ins, x, y| ins.bxor(x, y)),
            Operator::V128Bitselect => self.bitselect(),
            Operator::V128AnyTrue => self.any_true(),
            Operator::I8x16AllTrue => self.all_true(I8X16),
            Operator::I16x8AllTrue => self.all_true(I16X8),
            Operator::I32x4AllTrue => self.all_true(I32X4),
            Operator::I64x2AllTrue => self.all_true(I64X2),
            Operator::I8x16Bitmask => self.bitmask(I8X16),
            Operator::I16x8Bitmask => self.bitmask(I16X8),
            Operator::I32x4Bitmask => self.bitmask(I32X4),
            Operator::I64x2Bitmask => self.bitmask(I64X2),
            Operator::I8x16Shl => self.vector_shift(I8X16, |ins, x, n| ins.ishl(x, n)),
            Operator::I16x8Shl => self.vector_shift(I16X8, |ins, x, n| ins.ishl(x, n)),
            Operator::I32x4Shl => self.vector_shift(I32X4, |ins, x, n| ins.ishl(x, n)),
            Operator::I64x2Shl => self.vector_shift(I64X2, |ins, x, n| ins.ishl(x, n)),
            Operator::I8x16ShrS => self.vector_shift(I8X16, |ins, x, n| ins.sshr(x, n)),
            Operator::I16x8ShrS => self.vector_shift(I16X8, |ins, x, n| ins.sshr(x, n)),
            Operator::I32x4ShrS => self.vector_shift(I32X4, |ins, x, n| ins.sshr(x, n)),
            Operator::I64x2ShrS => self.vector_shift(I64X2, |ins, x, n| ins.sshr(x, n)),
            Operator::I8x16ShrU => self.vector_shift(I8X16, |ins, x, n| ins.ushr(x, n)),
            Operator::I16x8ShrU => self.vector_shift(I16X8, |ins, x, n| ins.ushr(x, n)),
            Operator::I32x4ShrU => self.vector_shift(I32X4, |ins, x, n| ins.ushr(x, n)),
            Operator::I64x2ShrU => self.vector_shift(I64X2, |ins, x, n| ins.ushr(x, n)),
            // Integer arithmetic.
            Operator::I8x16Abs => self.vector_unary(I8X16, |ins, x| ins.iabs(x)),
            Operator::I16x8Abs => self.vector_unary(I16X8, |ins, x| ins.iabs(x)),
            Operator::I32x4Abs => self.vector_unary(I32X4, |ins, x| ins.iabs(x)),
            Operator::I64x2Abs => self.vector_unary(I64X2, |ins, x| ins.iabs(x)),
            Operator::I8x16Neg => self.vector_unary(I8X16, |ins, x| ins.ineg(x)),
            Operator::I16x8Neg => self.vector_unary(I16X8, |ins, x| ins.ineg(x)),
            Operator::I32x4Neg => self.vector_unary(I32X4, |ins, x| ins.ineg(x)),
            Operator::I64x2Neg => self.vector_unary(I64X2, |ins, x| ins.ineg(x)),
            Operator::I8x16Popcnt => self.vector_unary(I8X16, |ins, x| ins.popcnt(x)),
            Operator::I8x16Add => self.vector_binary(I8X16, |ins, x, y| ins.iadd(x, y)),
            Operator::I16x8Add => self.vector_binary(I16X8, |ins, x, y| ins.iadd(x, y)),
            Operator::I32x4Add => self.vector_binary(I32X4, |ins, x, y| ins.iadd(x, y)),
            Operator::I64x2Add => self.vector_binary(I64X2, |ins, x, y| ins.iadd(x, y)),
            Operator::I8x16Sub => self.vector_binary(I8X16, |ins, x, y| ins.isub(x, y)),
            Operator::I16x8Sub => self.vector_binary(I16X8, |ins, x, y| ins.isub(x, y)),
            Operator::I32x4Sub => self.vector_binary(I32X4, |ins, x, y| ins.isub(x, y)),
            Operator::I64x2Sub => self.vector_binary(I64X2, |ins, x, y| ins.isub(x, y)),
            Operator::I16x8Mul => self.vector_binary(I16X8, |ins, x, y| ins.imul(x, y)),
            Operator::I32x4Mul => self.vector_binary(I32X4, |ins, x, y| ins.imul(x, y)),
            Operator::I64x2Mul => self.vector_binary(I64X2, |ins, x, y| ins.imul(x, y)),
            Operator::I8x16AddSatS => self.vector_binary(I8X16, |ins, x, y| ins.sadd_sat(x, y)),
            Operator::I16x8AddSatS => self.vector_binary(I16X8, |ins, x, y| ins.sadd_sat(x, y)),
            Operator::I8x16AddSatU => self.vector_binary(I8X16, |ins, x, y| ins.uadd_sat(x, y)),
            Operator::I16x8AddSatU => self.vector_binary(I16X8, |ins, x, y| ins.uadd_sat(x, y)),
            Operator::I8x16SubSatS => self.vector_binary(I8X16, |ins, x, y| ins.ssub_sat(x, y)),
            Operator::I16x8SubSatS => self.vector_binary(I16X8, |ins, x, y| ins.ssub_sat(x, y)),
            Operator::I8x16SubSatU => self.vector_binary(I8X16, |ins, x, y| ins.usub_sat(x, y)),
            Operator::I16x8SubSatU => self.vector_binary(I16X8, |ins, x, y| ins.usub_sat(x, y)),
            Operator::I8x16MinS => self.vector_binary(I8X16, |ins, x, y| ins.smin(x, y)),
            Operator::I16x8MinS => self.vector_binary(I16X8, |ins, x, y| ins.smin(x, y)),
            Operator::I32x4MinS => self.vector_binary(I32X4, |ins, x, y| ins.smin(x, y)),
            Operator::I8x16MinU => self.vector_binary(I8X16, |ins, x, y| ins.umin(x, y)),
            Operator::I16x8MinU => self.vector_binary(I16X8, |ins, x, y| ins.umin(x, y)),
            Operator::I32x4MinU => self.vector_binary(I32X4, |ins, x, y| ins.umin(x, y)),
            Operator::I8x16MaxS => self.vector_binary(I8X16, |ins, x, y| ins.smax(x, y)),
            Operator::I16x8MaxS => self.vector_binary(I16X8, |ins, x, y| ins.smax(x, y)),
            Operator::I32x4MaxS => self.vector_binary(I32X4, |ins, x, y| ins.smax(x, y)),
            Operator::I8x16MaxU => self.vector_binary(I8X16, |ins, x, y| ins.umax(x, y)),
            Operator::I16x8MaxU => self.vector_binary(I16X8, |ins, x, y| ins.umax(x, y)),
            Operator::I32x4MaxU => self.vector_binary(I32X4, |ins, x, y| ins.umax(x, y)),
            Operator::I8x16AvgrU => self.vector_binary(I8X16, |ins, x, y| ins.avg_round(x, y)),
            Operator::I16x8AvgrU => self.vector_binary(I16X8, |ins, x, y| ins.avg_round(x, y)),
            Operator::I16x8Q15MulrSatS => {
                self.vector_binary(I16X8, |ins, x, y| ins.sqmul_round_sat(x, y))
            }
            Operator::I32x4DotI16x8S => self.dot(),
            // Lanes that change width.
            Operator::I8x16NarrowI16x8S => self.vector_binary(I16X8, |ins, x, y| ins.snarrow(x, y)),
            Operator::I8x16NarrowI16x8U => self.vector_binary(I16X8, |ins, x, y| ins.unarrow(x, y)),
            Operator::I16x8NarrowI32x4S => self.vector_binary(I32X4, |ins, x, y| ins.snarrow(x, y)),
            Operator::I16x8NarrowI32x4U => self.vector_binary(I32X4, |ins, x, y| ins.unarrow(x, y)),
            Operator::I16x8ExtendLowI8x16S => self.extend_lanes(I8X16, LowSigned),
            Operator::I16x8ExtendLowI8x16U => self.extend_lanes(I8X16, LowUnsigned),
            Operator::I16x8ExtendHighI8x16S => self.extend_lanes(I8X16, HighSigned),
            Operator::I16x8ExtendHighI8x16U => self.extend_lanes(I8X16, HighUnsigned),
            Operator::I32x4ExtendLowI16x8S => self.extend_lanes(I16X8, LowSigned),
            Operator::I32x4ExtendLowI16x8U => self.extend_lanes(I16X8, LowUnsigned),
            Operator::I32x4ExtendHighI16x8S => self.extend_lanes(I16X8, HighSigned),
            Operator::I32x4ExtendHighI16x8U => self.extend_lanes(I16X8, HighUnsigned),
            Operator::I64x2ExtendLowI32x4S => self.extend_lanes(I32X4, LowSigned),
            Operator::I64x2ExtendLowI32x4U => self.extend_lanes(I32X4, LowUnsigned),
            Operator::I64x2ExtendHighI32x4S => self.extend_lanes(I32X4, HighSigned),
            Operator::I64x2ExtendHighI32x4U => self.extend_lanes(I32X4, HighUnsigned),
            Operator::I16x8ExtMulLowI8x16S => self.extended_multiply(I8X16, LowSigned),
            Operator::I16x8ExtMulLowI8x16U => self.extended_multiply(I8X16, LowUnsigned),
            Operator::I16x8ExtMulHighI8x16S => self.extended_multiply(I8X16, HighSigned),
            Operator::I16x8ExtMulHighI8x16U => self.extended_multiply(I8X16, HighUnsigned),
            Operator::I32x4ExtMulLowI16x8S => self.extended_multiply(I16X8, LowSigned),
            Operator::I32x4ExtMulLowI16x8U => self.extended_multiply(I16X8, LowUnsigned),
            Operator::I32x4ExtMulHighI16x8S => self.extended_multiply(I16X8, HighSigned),
            Operator::I32x4ExtMulHighI16x8U => self.extended_multiply(I16X8, HighUnsigned),
            Operator::I64x2ExtMulLowI32x4S => self.extended_multiply(I32X4, LowSigned),
            Operator::I64x2ExtMulLowI32x4U => self.extended_multiply(I32X4, LowUnsigned),
            Operator::I64x2ExtMulHighI32x4S => self.extended_multiply(I32X4, HighSigned),
            Operator::I64x2ExtMulHighI32x4U => self.extended_multiply(I32X4, HighUnsigned),
            Operator::I16x8ExtAddPairwiseI8x16S => {
                self.extended_add_pairs(I8X16, LowSigned, HighSigned)
            }
            Operator::I16x8ExtAddPairwiseI8x16U => {
                self.extended_add_pairs(I8X16, LowUnsigned, HighUnsigned)
            }
            Operator::I32x4ExtAddPairwiseI16x8S => {
                self.extended_add_pairs(I16X8, LowSigned, HighSigned)
            }
            Operator::I32x4ExtAddPairwiseI16x8U => {
                self.extended_add_pairs(I16X8, LowUnsigned, HighUnsigned)
            }
            // Float arithmetic.
            Operator::F32x4Ceil => self.round_vector(F32X4, Rounding::Ceil),
            Operator::F64x2Ceil => self.round_vector(F64X2, Rounding::Ceil),
            Operator::F32x4Floor => self.round_vector(F32X4, Rounding::Floor),
            Operator::F64x2Floor => self.round_vector(F64X2, Rounding::Floor),
            Operator::F32x4Trunc => self.round_vector(F32X4, Rounding::Trunc),
            Operator::F64x2Trunc => self.round_vector(F64X2, Rounding::Trunc),
            Operator::F32x4Nearest => self.round_vector(F32X4, Rounding::Nearest),
            Operator::F64x2Nearest => self.round_vector(F64X2, Rounding::Nearest),
            Operator::F32x4Abs => self.vector_unary(F32X4, |ins, x| ins.fabs(x)),
            Operator::F64x2Abs => self.vector_unary(F64X2, |ins, x| ins.fabs(x)),
            Operator::F32x4Neg => self.vector_unary(F32X4, |ins, x| ins.fneg(x)),
            Operator::F64x2Neg => self.vector_unary(F64X2, |ins, x| ins.fneg(x)),
            Operator::F32x4Sqrt => self.vector_unary(F32X4, |ins, x| ins.sqrt(x)),
            Operator::F64x2Sqrt => self.vector_unary(F64X2, |ins, x| ins.sqrt(x)),
            Operator::F32x4Add => self.vector_binary(F32X4, |ins, x, y| ins.fadd(x, y)),
            Operator::F64x2Add => self.vector_binary(F64X2, |ins, x, y| ins.fadd(x, y)),
            Operator::F32x4Sub => self.vector_binary(F32X4, |ins, x, y| ins.fsub(x, y)),
            Operator::F64x2Sub => self.vector_binary(F64X2, |ins, x, y| ins.fsub(x, y)),
            Operator::F32x4Mul => self.vector_binary(F32X4, |ins, x, y| ins.fmul(x, y)),
            Operator::F64x2Mul => self.vector_binary(F64X2, |ins, x, y| ins.fmul(x, y)),
            Operator::F32x4Div => self.vector_binary(F32X4, |ins, x, y| ins.fdiv(x, y)),
            Operator::F64x2Div => self.vector_binary(F64X2, |ins, x, y| ins.fdiv(x, y)),
            Operator::F32x4Min => self.vector_binary(F32X4, |ins, x, y| ins.fmin(x, y)),
            Operator::F64x2Min => self.vector_binary(F64X2, |ins, x, y| ins.fmin(x, y)),
            Operator::F32x4Max => self.vector_binary(F32X4, |ins, x, y| ins.fmax(x, y)),
            Operator::F64x2Max => self.vector_binary(F64X2, |ins, x, y| ins.fmax(x, y)),
            Operator::F32x4PMin => self.pseudo_min(F32X4),
            Operator::F32x4PMax => self.pseudo_max(F32X4),
            Operator::F64x2PMin => self.pseudo_min(F64X2),
            Operator::F64x2PMax => self.pseudo_max(F64X2),
            // Conversions.
            Operator::I32x4TruncSatF32x4S => self.trunc_sat_f32x4_signed(),
            Operator::I32x4TruncSatF64x2SZero => self.trunc_sat_f64x2_signed(),
            Operator::F32x4ConvertI32x4S => self.convert_i32x4_signed(),
            Operator::F64x2ConvertLowI32x4S => self.convert_low_i32x4_signed(),
            Operator::I32x4TruncSatF32x4U => self.trunc_sat_f32x4_unsigned(),
            Operator::I32x4TruncSatF64x2UZero => self.trunc_sat_f64x2_unsigned(),
            Operator::F32x4ConvertI32x4U => self.convert_i32x4_unsigned(),
            Operator::F64x2ConvertLowI32x4U => self.convert_low_i32x4_unsigned(),
            Operator::F32x4DemoteF64x2Zero => self.vector_unary(F64X2, |ins, x| ins.fvdemote(x)),
            Operator::F64x2PromoteLowF32x4 => {
                self.vector_unary(F32X4, |ins, x| ins.fvpromote_low(x))
            }
            ref other => self.relaxed_operator(other),
        }
    }

    /// Translates a vector operator whose result may depend on the processor.
    fn relaxed_operator(&mut self, operator: &Operator<'_>) -> Result {
        match *operator {
            Operator::I8x16RelaxedSwizzle => self.relaxed_swizzle(),
            Operator::I32x4RelaxedTruncF32x4S => self.relaxed_trunc_f32x4_signed(),
            // The processors have no shorter way for these.
            Operator::I32x4RelaxedTruncF32x4U => self.trunc_sat_f32x4_unsigned(),
            Operator::I32x4RelaxedTruncF64x2UZero => self.trunc_sat_f64x2_unsigned(),
            Operator::I32x4RelaxedTruncF64x2SZero => self.relaxed_trunc_f64x2_signed(),
            Operator::F32x4RelaxedMadd => self.relaxed_multiply_add(F32X4),
            Operator::F32x4RelaxedNmadd => self.relaxed_negative_multiply_add(F32X4),
            Operator::F64x2RelaxedMadd => self.relaxed_multiply_add(F64X2),
            Operator::F64x2RelaxedNmadd => self.relaxed_negative_multiply_add(F64X2),
            Operator::I8x16RelaxedLaneselect => self.relaxed_lane_select(I8X16),
            Operator::I16x8RelaxedLaneselect => self.relaxed_lane_select(I16X8),
            Operator::I32x4RelaxedLaneselect => self.relaxed_lane_select(I32X4),
            Operator::I64x2RelaxedLaneselect => self.relaxed_lane_select(I64X2),
            Operator::F32x4RelaxedMin => self.relaxed_min(F32X4),
            Operator::F32x4RelaxedMax => self.relaxed_max(F32X4),
            Operator::F64x2RelaxedMin => self.relaxed_min(F64X2),
            Operator::F64x2RelaxedMax => self.relaxed_max(F64X2),
            Operator::I16x8RelaxedQ15mulrS => self.relaxed_q15_multiply(),
            Operator::I16x8RelaxedDotI8x16I7x16S => self.relaxed_dot(),
            Operator::I32x4RelaxedDotI8x16I7x16AddS => self.relaxed_dot_add(),
            ref other => self.atomic_operator(other),
        }
    }
}
