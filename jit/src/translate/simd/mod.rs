//! Vectors of 128 bits: the table of their operators, and how their values are kept.
//!
//! An operator gives its operands the lane type that it works on ([`FuncTranslator::pop_vector`]) and
//! leaves its result in the lane type that it has. Where paths meet, vectors are `i8x16`
//! ([`FuncTranslator::canonicalize_top`]). So a chain of operators on one lane type has no casts.

mod arith;
mod dispatch;
mod lanes;
mod memory;
mod relaxed;
mod widen;

use super::function::FuncTranslator;
use crate::translate::Result;
use cranelift_codegen::ir::{
    ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, types,
};
use cranelift_frontend::FuncInstBuilder;

/// The lane type of vectors wherever paths meet.
const CANONICAL: Type = types::I8X16;

impl<'f> FuncTranslator<'_, 'f> {
    // Lane types.

    /// Gives a vector another lane type. Lanes are numbered from the low end, as in memory.
    pub(in crate::translate) fn cast_vector(&mut self, value: Value, ty: Type) -> Value {
        if self.builder.func.dfg.value_type(value) == ty {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.builder.ins().bitcast(ty, flags, value)
    }

    /// Gives those of the newest `count` operands that are vectors the type they have where paths
    /// meet.
    pub(in crate::translate) fn canonicalize_top(&mut self, count: usize) {
        self.canonicalize_below(0, count);
    }

    /// As [`Self::canonicalize_top`], for the `count` operands below the newest `skip`.
    pub(in crate::translate) fn canonicalize_below(&mut self, skip: usize, count: usize) {
        for i in 0..count {
            let value = self.stack.top(skip + count)[i];
            let ty = self.builder.func.dfg.value_type(value);
            if ty.is_vector() && ty != CANONICAL {
                self.stack.top_mut(skip + count)[i] = self.cast_vector(value, CANONICAL);
            }
        }
    }

    /// The newest operand, `i8x16` if it is a vector.
    pub(in crate::translate) fn pop_canonical(&mut self) -> Value {
        self.canonicalize_top(1);
        self.stack.pop()
    }

    /// The newest operand as a vector of a certain lane type.
    fn pop_vector(&mut self, ty: Type) -> Value {
        let value = self.stack.pop();
        self.cast_vector(value, ty)
    }

    // Shapes of operators.

    fn vector_unary(
        &mut self,
        ty: Type,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value) -> Value,
    ) -> Result {
        let operand = self.pop_vector(ty);
        let value = op(self.builder.ins(), operand);
        self.stack.push(value);
        Ok(())
    }

    fn vector_binary(
        &mut self,
        ty: Type,
        op: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value,
    ) -> Result {
        let right = self.pop_vector(ty);
        let left = self.pop_vector(ty);
        let value = op(self.builder.ins(), left, right);
        self.stack.push(value);
        Ok(())
    }

    // Constants.

    pub(in crate::translate) fn vector_constant(&mut self, bytes: [u8; 16]) -> Value {
        self.typed_vector_constant(CANONICAL, bytes)
    }

    fn typed_vector_constant(&mut self, ty: Type, bytes: [u8; 16]) -> Value {
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(&bytes[..]));
        self.builder.ins().vconst(ty, constant)
    }

    fn v128_const(&mut self, value: wasmparser::V128) -> Result {
        let value = self.vector_constant(*value.bytes());
        self.stack.push(value);
        Ok(())
    }
}
