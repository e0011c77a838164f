//! Moving lanes: splat, extract, replace, shuffle, swizzle.

use crate::translate::function::FuncTranslator;
use cranelift_codegen::ir::{ConstantData, InstBuilder, Type, types};

impl FuncTranslator<'_, '_> {
    /// Fills a vector with a scalar of the lanes' type.
    pub(super) fn splat(&mut self, ty: Type) {
        self.unary(|ins, x| ins.splat(ty, x));
    }

    /// Fills a vector with the low bits of an `i32`.
    pub(super) fn splat_low(&mut self, ty: Type) {
        self.unary(|ins, x| ins.ireduce(ty.lane_type(), x));
        self.splat(ty);
    }

    pub(super) fn extract_lane(&mut self, ty: Type, lane: u8) {
        self.vector_unary(ty, |ins, x| ins.extractlane(x, lane));
    }

    pub(super) fn extract_lane_signed(&mut self, ty: Type, lane: u8) {
        self.extract_lane(ty, lane);
        self.unary(|ins, x| ins.sextend(types::I32, x));
    }

    pub(super) fn extract_lane_unsigned(&mut self, ty: Type, lane: u8) {
        self.extract_lane(ty, lane);
        self.unary(|ins, x| ins.uextend(types::I32, x));
    }

    pub(super) fn replace_lane(&mut self, ty: Type, lane: u8) {
        let scalar = self.stack.pop();
        self.vector_unary(ty, |ins, x| ins.insertlane(x, scalar, lane));
    }

    /// Replaces a lane by the low bits of an `i32`.
    pub(super) fn replace_lane_low(&mut self, ty: Type, lane: u8) {
        self.unary(|ins, x| ins.ireduce(ty.lane_type(), x));
        self.replace_lane(ty, lane);
    }

    pub(super) fn shuffle(&mut self, lanes: [u8; 16]) {
        let mask = self.builder.func.dfg.immediates.push(ConstantData::from(&lanes[..]));
        self.vector_binary(types::I8X16, |ins, x, y| ins.shuffle(x, y, mask));
    }

    pub(super) fn swizzle(&mut self) {
        self.vector_binary(types::I8X16, |ins, x, y| ins.swizzle(x, y));
    }
}
