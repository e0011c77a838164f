//! The types and signatures of values and functions in CLIF.
//!
//! Wasm functions use Cranelift's `tail` convention, the only one that supports tail calls, and
//! take their instance's context first. Host functions are called by the platform's C convention,
//! with an array of [`crate::vm::ValRaw`].

use crate::types::{FuncType, RefType, ValType};
use cranelift_codegen::ir::{self, AbiParam, ArgumentPurpose, types};
use cranelift_codegen::isa::CallConv;

/// The type of addresses. Only 64-bit targets are supported.
pub(crate) const POINTER: ir::Type = types::I64;

/// This many results always fit in registers, whatever their types. With more results, the caller
/// may pass the address of the others in the register of the first argument, and the context in the
/// next one.
pub const REGISTER_RESULTS: usize = 4;

/// The CLIF type of a reference: an address for functions, a 32-bit offset in the heap for all
/// others.
pub(crate) fn reference_type(ty: RefType) -> ir::Type {
    if ty.is_gc() { types::I32 } else { POINTER }
}

/// The CLIF type of a value. Vectors are always `i8x16` between operations.
pub(crate) fn value_type(ty: ValType) -> ir::Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => types::I8X16,
        ValType::Ref(ty) => reference_type(ty),
    }
}

/// The signature of a wasm function: its instance's context, then its parameters.
pub(crate) fn wasm_signature(ty: &FuncType) -> ir::Signature {
    let mut signature = ir::Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::special(POINTER, ArgumentPurpose::VMContext));
    signature.params.extend(ty.params().iter().map(|&ty| AbiParam::new(value_type(ty))));
    signature.returns.extend(ty.results().iter().map(|&ty| AbiParam::new(value_type(ty))));
    signature
}
