//! Loads and stores of vectors and of single lanes. Whole vectors go the way of all values.

use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use cranelift_codegen::ir::{InstBuilder, Type};
use wasmparser::MemArg;

impl FuncTranslator<'_, '_> {
    /// Loads a scalar and fills a vector with it.
    pub(super) fn load_splat(&mut self, memarg: &MemArg, ty: Type) -> Result {
        self.load(memarg, ty.lane_type())?;
        self.splat(ty)
    }

    /// Loads a scalar into the low lane; the others become zero.
    pub(super) fn load_zero(&mut self, memarg: &MemArg, ty: Type) -> Result {
        self.load(memarg, ty.lane_type())?;
        self.unary(|ins, x| ins.scalar_to_vector(ty, x))
    }

    pub(super) fn load_lane(&mut self, memarg: &MemArg, ty: Type, lane: u8) -> Result {
        let vector = self.pop_vector(ty);
        self.load(memarg, ty.lane_type())?;
        self.unary(|ins, x| ins.insertlane(vector, x, lane))
    }

    pub(super) fn store_lane(&mut self, memarg: &MemArg, ty: Type, lane: u8) -> Result {
        self.extract_lane(ty, lane)?;
        self.store(memarg)
    }
}
