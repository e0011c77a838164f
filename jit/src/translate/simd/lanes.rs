//! Moving lanes: splat, extract, replace, shuffle, swizzle.

use crate::abi::POINTER;
use crate::arch::has_byte_shuffle;
use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ConstantData, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, types,
};

impl FuncTranslator<'_, '_> {
    /// Fills a vector with a scalar of the lanes' type.
    pub(super) fn splat(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.splat(ty, x))
    }

    /// Fills a vector with the low bits of an `i32`.
    pub(super) fn splat_low(&mut self, ty: Type) -> Result {
        self.unary(|ins, x| ins.ireduce(ty.lane_type(), x))?;
        self.splat(ty)
    }

    pub(super) fn extract_lane(&mut self, ty: Type, lane: u8) -> Result {
        self.vector_unary(ty, |ins, x| ins.extractlane(x, lane))
    }

    pub(super) fn extract_lane_signed(&mut self, ty: Type, lane: u8) -> Result {
        self.extract_lane(ty, lane)?;
        self.unary(|ins, x| ins.sextend(types::I32, x))
    }

    pub(super) fn extract_lane_unsigned(&mut self, ty: Type, lane: u8) -> Result {
        self.extract_lane(ty, lane)?;
        self.unary(|ins, x| ins.uextend(types::I32, x))
    }

    pub(super) fn replace_lane(&mut self, ty: Type, lane: u8) -> Result {
        let scalar = self.stack.pop();
        self.vector_unary(ty, |ins, x| ins.insertlane(x, scalar, lane))
    }

    /// Replaces a lane by the low bits of an `i32`.
    pub(super) fn replace_lane_low(&mut self, ty: Type, lane: u8) -> Result {
        self.unary(|ins, x| ins.ireduce(ty.lane_type(), x))?;
        self.replace_lane(ty, lane)
    }

    pub(super) fn shuffle(&mut self, lanes: [u8; 16]) -> Result {
        if !has_byte_shuffle(self.env.isa) {
            return self.shuffle_one_by_one(lanes);
        }
        let mask = self.builder.func.dfg.immediates.push(ConstantData::from(&lanes[..]));
        self.vector_binary(types::I8X16, |ins, x, y| ins.shuffle(x, y, mask))
    }

    pub(super) fn swizzle(&mut self) -> Result {
        if !has_byte_shuffle(self.env.isa) {
            return self.swizzle_one_by_one();
        }
        self.vector_binary(types::I8X16, |ins, x, y| ins.swizzle(x, y))
    }

    // Where there is no instruction, and the code generator would call a function of the host.

    fn shuffle_one_by_one(&mut self, lanes: [u8; 16]) -> Result {
        let (y, x) = (self.pop_vector(types::I8X16), self.pop_vector(types::I8X16));
        let mut result = x;
        for (to, from) in (0..).zip(lanes) {
            let byte = match from {
                0..16 => self.builder.ins().extractlane(x, from),
                _ => self.builder.ins().extractlane(y, from - 16),
            };
            result = self.builder.ins().insertlane(result, byte, to);
        }
        self.stack.push(result);
        Ok(())
    }

    fn swizzle_one_by_one(&mut self) -> Result {
        let (lanes, x) = (self.pop_vector(types::I8X16), self.pop_vector(types::I8X16));
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4);
        let slot = self.builder.create_sized_stack_slot(slot);
        self.builder.ins().stack_store(POINTER, x, slot, 0);
        let bytes = self.builder.ins().stack_addr(POINTER, slot, 0);
        let zero = self.builder.ins().iconst(types::I8, 0);
        let mut result = x;
        for to in 0..16 {
            let from = self.builder.ins().extractlane(lanes, to);
            let within = self.builder.ins().band_imm_u(from, 15);
            let within = self.builder.ins().uextend(POINTER, within);
            let address = self.builder.ins().iadd(bytes, within);
            let byte = self.builder.ins().load(types::I8, MemFlagsData::trusted(), address, 0);
            let inside = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, from, 16);
            let byte = self.builder.ins().select(inside, byte, zero);
            result = self.builder.ins().insertlane(result, byte, to);
        }
        self.stack.push(result);
        Ok(())
    }
}
