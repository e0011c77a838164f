//! The table of the vector operators, grouped as in the specification.

use super::widen::Widen::{HighSigned, HighUnsigned, LowSigned, LowUnsigned};
use crate::translate::Result;
use crate::translate::dispatch::Vector;
use crate::translate::function::FuncTranslator;
use crate::translate::rounding::Rounding;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};

impl FuncTranslator<'_, '_> {
    /// Translates a vector operator.
    pub(in crate::translate) fn vector_operator(&mut self, operator: Vector) -> Result {
        match operator {
            // Memory.
            Vector::V128Load { memarg } => self.load(&memarg, I8X16),
            Vector::V128Load8x8S { memarg } => {
                self.load_with(&memarg, |ins, at| ins.sload8x8(at.flags, at.address, at.offset))
            }
            Vector::V128Load8x8U { memarg } => {
                self.load_with(&memarg, |ins, at| ins.uload8x8(at.flags, at.address, at.offset))
            }
            Vector::V128Load16x4S { memarg } => {
                self.load_with(&memarg, |ins, at| ins.sload16x4(at.flags, at.address, at.offset))
            }
            Vector::V128Load16x4U { memarg } => {
                self.load_with(&memarg, |ins, at| ins.uload16x4(at.flags, at.address, at.offset))
            }
            Vector::V128Load32x2S { memarg } => {
                self.load_with(&memarg, |ins, at| ins.sload32x2(at.flags, at.address, at.offset))
            }
            Vector::V128Load32x2U { memarg } => {
                self.load_with(&memarg, |ins, at| ins.uload32x2(at.flags, at.address, at.offset))
            }
            Vector::V128Load8Splat { memarg } => self.load_splat(&memarg, I8X16),
            Vector::V128Load16Splat { memarg } => self.load_splat(&memarg, I16X8),
            Vector::V128Load32Splat { memarg } => self.load_splat(&memarg, I32X4),
            Vector::V128Load64Splat { memarg } => self.load_splat(&memarg, I64X2),
            Vector::V128Load32Zero { memarg } => self.load_zero(&memarg, I32X4),
            Vector::V128Load64Zero { memarg } => self.load_zero(&memarg, I64X2),
            Vector::V128Store { memarg } => self.store(&memarg),
            Vector::V128Load8Lane { memarg, lane } => self.load_lane(&memarg, I8X16, lane),
            Vector::V128Load16Lane { memarg, lane } => self.load_lane(&memarg, I16X8, lane),
            Vector::V128Load32Lane { memarg, lane } => self.load_lane(&memarg, I32X4, lane),
            Vector::V128Load64Lane { memarg, lane } => self.load_lane(&memarg, I64X2, lane),
            Vector::V128Store8Lane { memarg, lane } => self.store_lane(&memarg, I8X16, lane),
            Vector::V128Store16Lane { memarg, lane } => self.store_lane(&memarg, I16X8, lane),
            Vector::V128Store32Lane { memarg, lane } => self.store_lane(&memarg, I32X4, lane),
            Vector::V128Store64Lane { memarg, lane } => self.store_lane(&memarg, I64X2, lane),
            // Lanes.
            Vector::V128Const { value } => self.v128_const(value),
            Vector::I8x16Shuffle { lanes } => self.shuffle(lanes),
            Vector::I8x16Swizzle => self.swizzle(),
            Vector::I8x16Splat => self.splat_low(I8X16),
            Vector::I16x8Splat => self.splat_low(I16X8),
            Vector::I32x4Splat => self.splat(I32X4),
            Vector::I64x2Splat => self.splat(I64X2),
            Vector::F32x4Splat => self.splat(F32X4),
            Vector::F64x2Splat => self.splat(F64X2),
            Vector::I8x16ExtractLaneS { lane } => self.extract_lane_signed(I8X16, lane),
            Vector::I8x16ExtractLaneU { lane } => self.extract_lane_unsigned(I8X16, lane),
            Vector::I8x16ReplaceLane { lane } => self.replace_lane_low(I8X16, lane),
            Vector::I16x8ExtractLaneS { lane } => self.extract_lane_signed(I16X8, lane),
            Vector::I16x8ExtractLaneU { lane } => self.extract_lane_unsigned(I16X8, lane),
            Vector::I16x8ReplaceLane { lane } => self.replace_lane_low(I16X8, lane),
            Vector::I32x4ExtractLane { lane } => self.extract_lane(I32X4, lane),
            Vector::I32x4ReplaceLane { lane } => self.replace_lane(I32X4, lane),
            Vector::I64x2ExtractLane { lane } => self.extract_lane(I64X2, lane),
            Vector::I64x2ReplaceLane { lane } => self.replace_lane(I64X2, lane),
            Vector::F32x4ExtractLane { lane } => self.extract_lane(F32X4, lane),
            Vector::F32x4ReplaceLane { lane } => self.replace_lane(F32X4, lane),
            Vector::F64x2ExtractLane { lane } => self.extract_lane(F64X2, lane),
            Vector::F64x2ReplaceLane { lane } => self.replace_lane(F64X2, lane),
            // Comparisons.
            Vector::I8x16Eq => self.compare_int_lanes(I8X16, IntCC::Equal),
            Vector::I8x16Ne => self.compare_int_lanes(I8X16, IntCC::NotEqual),
            Vector::I8x16LtS => self.compare_int_lanes(I8X16, IntCC::SignedLessThan),
            Vector::I8x16LtU => self.compare_int_lanes(I8X16, IntCC::UnsignedLessThan),
            Vector::I8x16GtS => self.compare_int_lanes(I8X16, IntCC::SignedGreaterThan),
            Vector::I8x16GtU => self.compare_int_lanes(I8X16, IntCC::UnsignedGreaterThan),
            Vector::I8x16LeS => self.compare_int_lanes(I8X16, IntCC::SignedLessThanOrEqual),
            Vector::I8x16LeU => self.compare_int_lanes(I8X16, IntCC::UnsignedLessThanOrEqual),
            Vector::I8x16GeS => self.compare_int_lanes(I8X16, IntCC::SignedGreaterThanOrEqual),
            Vector::I8x16GeU => self.compare_int_lanes(I8X16, IntCC::UnsignedGreaterThanOrEqual),
            Vector::I16x8Eq => self.compare_int_lanes(I16X8, IntCC::Equal),
            Vector::I16x8Ne => self.compare_int_lanes(I16X8, IntCC::NotEqual),
            Vector::I16x8LtS => self.compare_int_lanes(I16X8, IntCC::SignedLessThan),
            Vector::I16x8LtU => self.compare_int_lanes(I16X8, IntCC::UnsignedLessThan),
            Vector::I16x8GtS => self.compare_int_lanes(I16X8, IntCC::SignedGreaterThan),
            Vector::I16x8GtU => self.compare_int_lanes(I16X8, IntCC::UnsignedGreaterThan),
            Vector::I16x8LeS => self.compare_int_lanes(I16X8, IntCC::SignedLessThanOrEqual),
            Vector::I16x8LeU => self.compare_int_lanes(I16X8, IntCC::UnsignedLessThanOrEqual),
            Vector::I16x8GeS => self.compare_int_lanes(I16X8, IntCC::SignedGreaterThanOrEqual),
            Vector::I16x8GeU => self.compare_int_lanes(I16X8, IntCC::UnsignedGreaterThanOrEqual),
            Vector::I32x4Eq => self.compare_int_lanes(I32X4, IntCC::Equal),
            Vector::I32x4Ne => self.compare_int_lanes(I32X4, IntCC::NotEqual),
            Vector::I32x4LtS => self.compare_int_lanes(I32X4, IntCC::SignedLessThan),
            Vector::I32x4LtU => self.compare_int_lanes(I32X4, IntCC::UnsignedLessThan),
            Vector::I32x4GtS => self.compare_int_lanes(I32X4, IntCC::SignedGreaterThan),
            Vector::I32x4GtU => self.compare_int_lanes(I32X4, IntCC::UnsignedGreaterThan),
            Vector::I32x4LeS => self.compare_int_lanes(I32X4, IntCC::SignedLessThanOrEqual),
            Vector::I32x4LeU => self.compare_int_lanes(I32X4, IntCC::UnsignedLessThanOrEqual),
            Vector::I32x4GeS => self.compare_int_lanes(I32X4, IntCC::SignedGreaterThanOrEqual),
            Vector::I32x4GeU => self.compare_int_lanes(I32X4, IntCC::UnsignedGreaterThanOrEqual),
            Vector::I64x2Eq => self.compare_int_lanes(I64X2, IntCC::Equal),
            Vector::I64x2Ne => self.compare_int_lanes(I64X2, IntCC::NotEqual),
            Vector::I64x2LtS => self.compare_int_lanes(I64X2, IntCC::SignedLessThan),
            Vector::I64x2GtS => self.compare_int_lanes(I64X2, IntCC::SignedGreaterThan),
            Vector::I64x2LeS => self.compare_int_lanes(I64X2, IntCC::SignedLessThanOrEqual),
            Vector::I64x2GeS => self.compare_int_lanes(I64X2, IntCC::SignedGreaterThanOrEqual),
            Vector::F32x4Eq => self.compare_float_lanes(F32X4, FloatCC::Equal),
            Vector::F32x4Ne => self.compare_float_lanes(F32X4, FloatCC::NotEqual),
            Vector::F32x4Lt => self.compare_float_lanes(F32X4, FloatCC::LessThan),
            Vector::F32x4Gt => self.compare_float_lanes(F32X4, FloatCC::GreaterThan),
            Vector::F32x4Le => self.compare_float_lanes(F32X4, FloatCC::LessThanOrEqual),
            Vector::F32x4Ge => self.compare_float_lanes(F32X4, FloatCC::GreaterThanOrEqual),
            Vector::F64x2Eq => self.compare_float_lanes(F64X2, FloatCC::Equal),
            Vector::F64x2Ne => self.compare_float_lanes(F64X2, FloatCC::NotEqual),
            Vector::F64x2Lt => self.compare_float_lanes(F64X2, FloatCC::LessThan),
            Vector::F64x2Gt => self.compare_float_lanes(F64X2, FloatCC::GreaterThan),
            Vector::F64x2Le => self.compare_float_lanes(F64X2, FloatCC::LessThanOrEqual),
            Vector::F64x2Ge => self.compare_float_lanes(F64X2, FloatCC::GreaterThanOrEqual),
            // Bits.
            Vector::V128Not => self.bitwise_unary(|ins, x| ins.bnot(x)),
            Vector::V128And => self.bitwise_binary(|ins, x, y| ins.band(x, y)),
            Vector::V128AndNot => self.bitwise_binary(|ins, x, y| ins.band_not(x, y)),
            Vector::V128Or => self.bitwise_binary(|ins, x, y| ins.bor(x, y)),
            Vector::V128Xor => self.bitwise_binary(|ins, x, y| ins.bxor(x, y)),
            Vector::V128Bitselect => self.bitselect(),
            Vector::V128AnyTrue => self.any_true(),
            Vector::I8x16AllTrue => self.all_true(I8X16),
            Vector::I16x8AllTrue => self.all_true(I16X8),
            Vector::I32x4AllTrue => self.all_true(I32X4),
            Vector::I64x2AllTrue => self.all_true(I64X2),
            Vector::I8x16Bitmask => self.bitmask(I8X16),
            Vector::I16x8Bitmask => self.bitmask(I16X8),
            Vector::I32x4Bitmask => self.bitmask(I32X4),
            Vector::I64x2Bitmask => self.bitmask(I64X2),
            Vector::I8x16Shl => self.vector_shift(I8X16, |ins, x, n| ins.ishl(x, n)),
            Vector::I16x8Shl => self.vector_shift(I16X8, |ins, x, n| ins.ishl(x, n)),
            Vector::I32x4Shl => self.vector_shift(I32X4, |ins, x, n| ins.ishl(x, n)),
            Vector::I64x2Shl => self.vector_shift(I64X2, |ins, x, n| ins.ishl(x, n)),
            Vector::I8x16ShrS => self.vector_shift(I8X16, |ins, x, n| ins.sshr(x, n)),
            Vector::I16x8ShrS => self.vector_shift(I16X8, |ins, x, n| ins.sshr(x, n)),
            Vector::I32x4ShrS => self.vector_shift(I32X4, |ins, x, n| ins.sshr(x, n)),
            Vector::I64x2ShrS => self.vector_shift(I64X2, |ins, x, n| ins.sshr(x, n)),
            Vector::I8x16ShrU => self.vector_shift(I8X16, |ins, x, n| ins.ushr(x, n)),
            Vector::I16x8ShrU => self.vector_shift(I16X8, |ins, x, n| ins.ushr(x, n)),
            Vector::I32x4ShrU => self.vector_shift(I32X4, |ins, x, n| ins.ushr(x, n)),
            Vector::I64x2ShrU => self.vector_shift(I64X2, |ins, x, n| ins.ushr(x, n)),
            // Integer arithmetic.
            Vector::I8x16Abs => self.vector_unary(I8X16, |ins, x| ins.iabs(x)),
            Vector::I16x8Abs => self.vector_unary(I16X8, |ins, x| ins.iabs(x)),
            Vector::I32x4Abs => self.vector_unary(I32X4, |ins, x| ins.iabs(x)),
            Vector::I64x2Abs => self.vector_unary(I64X2, |ins, x| ins.iabs(x)),
            Vector::I8x16Neg => self.vector_unary(I8X16, |ins, x| ins.ineg(x)),
            Vector::I16x8Neg => self.vector_unary(I16X8, |ins, x| ins.ineg(x)),
            Vector::I32x4Neg => self.vector_unary(I32X4, |ins, x| ins.ineg(x)),
            Vector::I64x2Neg => self.vector_unary(I64X2, |ins, x| ins.ineg(x)),
            Vector::I8x16Popcnt => self.vector_unary(I8X16, |ins, x| ins.popcnt(x)),
            Vector::I8x16Add => self.vector_binary(I8X16, |ins, x, y| ins.iadd(x, y)),
            Vector::I16x8Add => self.vector_binary(I16X8, |ins, x, y| ins.iadd(x, y)),
            Vector::I32x4Add => self.vector_binary(I32X4, |ins, x, y| ins.iadd(x, y)),
            Vector::I64x2Add => self.vector_binary(I64X2, |ins, x, y| ins.iadd(x, y)),
            Vector::I8x16Sub => self.vector_binary(I8X16, |ins, x, y| ins.isub(x, y)),
            Vector::I16x8Sub => self.vector_binary(I16X8, |ins, x, y| ins.isub(x, y)),
            Vector::I32x4Sub => self.vector_binary(I32X4, |ins, x, y| ins.isub(x, y)),
            Vector::I64x2Sub => self.vector_binary(I64X2, |ins, x, y| ins.isub(x, y)),
            Vector::I16x8Mul => self.vector_binary(I16X8, |ins, x, y| ins.imul(x, y)),
            Vector::I32x4Mul => self.vector_binary(I32X4, |ins, x, y| ins.imul(x, y)),
            Vector::I64x2Mul => self.vector_binary(I64X2, |ins, x, y| ins.imul(x, y)),
            Vector::I8x16AddSatS => self.vector_binary(I8X16, |ins, x, y| ins.sadd_sat(x, y)),
            Vector::I16x8AddSatS => self.vector_binary(I16X8, |ins, x, y| ins.sadd_sat(x, y)),
            Vector::I8x16AddSatU => self.vector_binary(I8X16, |ins, x, y| ins.uadd_sat(x, y)),
            Vector::I16x8AddSatU => self.vector_binary(I16X8, |ins, x, y| ins.uadd_sat(x, y)),
            Vector::I8x16SubSatS => self.vector_binary(I8X16, |ins, x, y| ins.ssub_sat(x, y)),
            Vector::I16x8SubSatS => self.vector_binary(I16X8, |ins, x, y| ins.ssub_sat(x, y)),
            Vector::I8x16SubSatU => self.vector_binary(I8X16, |ins, x, y| ins.usub_sat(x, y)),
            Vector::I16x8SubSatU => self.vector_binary(I16X8, |ins, x, y| ins.usub_sat(x, y)),
            Vector::I8x16MinS => self.vector_binary(I8X16, |ins, x, y| ins.smin(x, y)),
            Vector::I16x8MinS => self.vector_binary(I16X8, |ins, x, y| ins.smin(x, y)),
            Vector::I32x4MinS => self.vector_binary(I32X4, |ins, x, y| ins.smin(x, y)),
            Vector::I8x16MinU => self.vector_binary(I8X16, |ins, x, y| ins.umin(x, y)),
            Vector::I16x8MinU => self.vector_binary(I16X8, |ins, x, y| ins.umin(x, y)),
            Vector::I32x4MinU => self.vector_binary(I32X4, |ins, x, y| ins.umin(x, y)),
            Vector::I8x16MaxS => self.vector_binary(I8X16, |ins, x, y| ins.smax(x, y)),
            Vector::I16x8MaxS => self.vector_binary(I16X8, |ins, x, y| ins.smax(x, y)),
            Vector::I32x4MaxS => self.vector_binary(I32X4, |ins, x, y| ins.smax(x, y)),
            Vector::I8x16MaxU => self.vector_binary(I8X16, |ins, x, y| ins.umax(x, y)),
            Vector::I16x8MaxU => self.vector_binary(I16X8, |ins, x, y| ins.umax(x, y)),
            Vector::I32x4MaxU => self.vector_binary(I32X4, |ins, x, y| ins.umax(x, y)),
            Vector::I8x16AvgrU => self.vector_binary(I8X16, |ins, x, y| ins.avg_round(x, y)),
            Vector::I16x8AvgrU => self.vector_binary(I16X8, |ins, x, y| ins.avg_round(x, y)),
            Vector::I16x8Q15MulrSatS => {
                self.vector_binary(I16X8, |ins, x, y| ins.sqmul_round_sat(x, y))
            }
            Vector::I32x4DotI16x8S => self.dot(),
            // Lanes that change width.
            Vector::I8x16NarrowI16x8S => self.vector_binary(I16X8, |ins, x, y| ins.snarrow(x, y)),
            Vector::I8x16NarrowI16x8U => self.vector_binary(I16X8, |ins, x, y| ins.unarrow(x, y)),
            Vector::I16x8NarrowI32x4S => self.vector_binary(I32X4, |ins, x, y| ins.snarrow(x, y)),
            Vector::I16x8NarrowI32x4U => self.vector_binary(I32X4, |ins, x, y| ins.unarrow(x, y)),
            Vector::I16x8ExtendLowI8x16S => self.extend_lanes(I8X16, LowSigned),
            Vector::I16x8ExtendLowI8x16U => self.extend_lanes(I8X16, LowUnsigned),
            Vector::I16x8ExtendHighI8x16S => self.extend_lanes(I8X16, HighSigned),
            Vector::I16x8ExtendHighI8x16U => self.extend_lanes(I8X16, HighUnsigned),
            Vector::I32x4ExtendLowI16x8S => self.extend_lanes(I16X8, LowSigned),
            Vector::I32x4ExtendLowI16x8U => self.extend_lanes(I16X8, LowUnsigned),
            Vector::I32x4ExtendHighI16x8S => self.extend_lanes(I16X8, HighSigned),
            Vector::I32x4ExtendHighI16x8U => self.extend_lanes(I16X8, HighUnsigned),
            Vector::I64x2ExtendLowI32x4S => self.extend_lanes(I32X4, LowSigned),
            Vector::I64x2ExtendLowI32x4U => self.extend_lanes(I32X4, LowUnsigned),
            Vector::I64x2ExtendHighI32x4S => self.extend_lanes(I32X4, HighSigned),
            Vector::I64x2ExtendHighI32x4U => self.extend_lanes(I32X4, HighUnsigned),
            Vector::I16x8ExtMulLowI8x16S => self.extended_multiply(I8X16, LowSigned),
            Vector::I16x8ExtMulLowI8x16U => self.extended_multiply(I8X16, LowUnsigned),
            Vector::I16x8ExtMulHighI8x16S => self.extended_multiply(I8X16, HighSigned),
            Vector::I16x8ExtMulHighI8x16U => self.extended_multiply(I8X16, HighUnsigned),
            Vector::I32x4ExtMulLowI16x8S => self.extended_multiply(I16X8, LowSigned),
            Vector::I32x4ExtMulLowI16x8U => self.extended_multiply(I16X8, LowUnsigned),
            Vector::I32x4ExtMulHighI16x8S => self.extended_multiply(I16X8, HighSigned),
            Vector::I32x4ExtMulHighI16x8U => self.extended_multiply(I16X8, HighUnsigned),
            Vector::I64x2ExtMulLowI32x4S => self.extended_multiply(I32X4, LowSigned),
            Vector::I64x2ExtMulLowI32x4U => self.extended_multiply(I32X4, LowUnsigned),
            Vector::I64x2ExtMulHighI32x4S => self.extended_multiply(I32X4, HighSigned),
            Vector::I64x2ExtMulHighI32x4U => self.extended_multiply(I32X4, HighUnsigned),
            Vector::I16x8ExtAddPairwiseI8x16S => {
                self.extended_add_pairs(I8X16, LowSigned, HighSigned)
            }
            Vector::I16x8ExtAddPairwiseI8x16U => {
                self.extended_add_pairs(I8X16, LowUnsigned, HighUnsigned)
            }
            Vector::I32x4ExtAddPairwiseI16x8S => {
                self.extended_add_pairs(I16X8, LowSigned, HighSigned)
            }
            Vector::I32x4ExtAddPairwiseI16x8U => {
                self.extended_add_pairs(I16X8, LowUnsigned, HighUnsigned)
            }
            // Float arithmetic.
            Vector::F32x4Ceil => self.round_vector(F32X4, Rounding::Ceil),
            Vector::F64x2Ceil => self.round_vector(F64X2, Rounding::Ceil),
            Vector::F32x4Floor => self.round_vector(F32X4, Rounding::Floor),
            Vector::F64x2Floor => self.round_vector(F64X2, Rounding::Floor),
            Vector::F32x4Trunc => self.round_vector(F32X4, Rounding::Trunc),
            Vector::F64x2Trunc => self.round_vector(F64X2, Rounding::Trunc),
            Vector::F32x4Nearest => self.round_vector(F32X4, Rounding::Nearest),
            Vector::F64x2Nearest => self.round_vector(F64X2, Rounding::Nearest),
            Vector::F32x4Abs => self.vector_unary(F32X4, |ins, x| ins.fabs(x)),
            Vector::F64x2Abs => self.vector_unary(F64X2, |ins, x| ins.fabs(x)),
            Vector::F32x4Neg => self.vector_unary(F32X4, |ins, x| ins.fneg(x)),
            Vector::F64x2Neg => self.vector_unary(F64X2, |ins, x| ins.fneg(x)),
            Vector::F32x4Sqrt => self.vector_unary(F32X4, |ins, x| ins.sqrt(x)),
            Vector::F64x2Sqrt => self.vector_unary(F64X2, |ins, x| ins.sqrt(x)),
            Vector::F32x4Add => self.vector_binary(F32X4, |ins, x, y| ins.fadd(x, y)),
            Vector::F64x2Add => self.vector_binary(F64X2, |ins, x, y| ins.fadd(x, y)),
            Vector::F32x4Sub => self.vector_binary(F32X4, |ins, x, y| ins.fsub(x, y)),
            Vector::F64x2Sub => self.vector_binary(F64X2, |ins, x, y| ins.fsub(x, y)),
            Vector::F32x4Mul => self.vector_binary(F32X4, |ins, x, y| ins.fmul(x, y)),
            Vector::F64x2Mul => self.vector_binary(F64X2, |ins, x, y| ins.fmul(x, y)),
            Vector::F32x4Div => self.vector_binary(F32X4, |ins, x, y| ins.fdiv(x, y)),
            Vector::F64x2Div => self.vector_binary(F64X2, |ins, x, y| ins.fdiv(x, y)),
            Vector::F32x4Min => self.vector_binary(F32X4, |ins, x, y| ins.fmin(x, y)),
            Vector::F64x2Min => self.vector_binary(F64X2, |ins, x, y| ins.fmin(x, y)),
            Vector::F32x4Max => self.vector_binary(F32X4, |ins, x, y| ins.fmax(x, y)),
            Vector::F64x2Max => self.vector_binary(F64X2, |ins, x, y| ins.fmax(x, y)),
            Vector::F32x4PMin => self.pseudo_min(F32X4),
            Vector::F32x4PMax => self.pseudo_max(F32X4),
            Vector::F64x2PMin => self.pseudo_min(F64X2),
            Vector::F64x2PMax => self.pseudo_max(F64X2),
            // Conversions.
            Vector::I32x4TruncSatF32x4S => self.trunc_sat_f32x4_signed(),
            Vector::I32x4TruncSatF64x2SZero => self.trunc_sat_f64x2_signed(),
            Vector::F32x4ConvertI32x4S => self.convert_i32x4_signed(),
            Vector::F64x2ConvertLowI32x4S => self.convert_low_i32x4_signed(),
            Vector::I32x4TruncSatF32x4U => self.trunc_sat_f32x4_unsigned(),
            Vector::I32x4TruncSatF64x2UZero => self.trunc_sat_f64x2_unsigned(),
            Vector::F32x4ConvertI32x4U => self.convert_i32x4_unsigned(),
            Vector::F64x2ConvertLowI32x4U => self.convert_low_i32x4_unsigned(),
            Vector::F32x4DemoteF64x2Zero => self.vector_unary(F64X2, |ins, x| ins.fvdemote(x)),
            Vector::F64x2PromoteLowF32x4 => self.vector_unary(F32X4, |ins, x| ins.fvpromote_low(x)),
            // Those whose result may depend on the processor.
            Vector::I8x16RelaxedSwizzle => self.relaxed_swizzle(),
            Vector::I32x4RelaxedTruncF32x4S => self.relaxed_trunc_f32x4_signed(),
            // The processors have no shorter way for these.
            Vector::I32x4RelaxedTruncF32x4U => self.trunc_sat_f32x4_unsigned(),
            Vector::I32x4RelaxedTruncF64x2UZero => self.trunc_sat_f64x2_unsigned(),
            Vector::I32x4RelaxedTruncF64x2SZero => self.relaxed_trunc_f64x2_signed(),
            Vector::F32x4RelaxedMadd => self.relaxed_multiply_add(F32X4),
            Vector::F32x4RelaxedNmadd => self.relaxed_negative_multiply_add(F32X4),
            Vector::F64x2RelaxedMadd => self.relaxed_multiply_add(F64X2),
            Vector::F64x2RelaxedNmadd => self.relaxed_negative_multiply_add(F64X2),
            Vector::I8x16RelaxedLaneselect => self.relaxed_lane_select(I8X16),
            Vector::I16x8RelaxedLaneselect => self.relaxed_lane_select(I16X8),
            Vector::I32x4RelaxedLaneselect => self.relaxed_lane_select(I32X4),
            Vector::I64x2RelaxedLaneselect => self.relaxed_lane_select(I64X2),
            Vector::F32x4RelaxedMin => self.relaxed_min(F32X4),
            Vector::F32x4RelaxedMax => self.relaxed_max(F32X4),
            Vector::F64x2RelaxedMin => self.relaxed_min(F64X2),
            Vector::F64x2RelaxedMax => self.relaxed_max(F64X2),
            Vector::I16x8RelaxedQ15mulrS => self.relaxed_q15_multiply(),
            Vector::I16x8RelaxedDotI8x16I7x16S => self.relaxed_dot(),
            Vector::I32x4RelaxedDotI8x16I7x16AddS => self.relaxed_dot_add(),
        }
    }
}
