//! Evaluating constant expressions.
//!
//! Source: specification section 3.3.10 "Constant Expressions". They have been validated, so the
//! stack is known to hold what each operation needs.

use super::context::InstanceData;
use crate::entities::read_global;
use seqfault_jit::module::{ConstExpr, ConstOp};
use seqfault_jit::vm::ValRaw;

/// The value of `expr` in an instance whose functions and earlier globals are in place; in the low
/// bytes, the others zero.
pub(super) fn evaluate(instance: &InstanceData, expr: &ConstExpr) -> ValRaw {
    let mut stack: Vec<u128> = Vec::with_capacity(expr.ops.len());
    for op in &expr.ops {
        let value = match *op {
            ConstOp::I32Const(value) => u128::from(value as u32),
            ConstOp::I64Const(value) => u128::from(value as u64),
            ConstOp::F32Const(bits) => u128::from(bits),
            ConstOp::F64Const(bits) => u128::from(bits),
            ConstOp::V128Const(bytes) => u128::from_ne_bytes(bytes),
            // SAFETY: globals that constant expressions may read are set before, and no guest code
            // runs now; all bits of a raw value are plain.
            ConstOp::GlobalGet(global) => unsafe { read_global(instance.global(global)).v128 },
            ConstOp::RefNull => 0,
            ConstOp::RefFunc(func) => instance.func_ref(func) as usize as u128,
            ConstOp::I32Add => binary(&mut stack, |a, b| (a as u32).wrapping_add(b as u32).into()),
            ConstOp::I32Sub => binary(&mut stack, |a, b| (a as u32).wrapping_sub(b as u32).into()),
            ConstOp::I32Mul => binary(&mut stack, |a, b| (a as u32).wrapping_mul(b as u32).into()),
            ConstOp::I64Add => binary(&mut stack, |a, b| (a as u64).wrapping_add(b as u64).into()),
            ConstOp::I64Sub => binary(&mut stack, |a, b| (a as u64).wrapping_sub(b as u64).into()),
            ConstOp::I64Mul => binary(&mut stack, |a, b| (a as u64).wrapping_mul(b as u64).into()),
        };
        stack.push(value);
    }
    ValRaw { v128: stack.pop().expect("a constant expression leaves one value") }
}

fn binary(stack: &mut Vec<u128>, op: impl FnOnce(u128, u128) -> u128) -> u128 {
    let b = stack.pop().expect("validated");
    let a = stack.pop().expect("validated");
    op(a, b)
}

/// The value of an expression of type `i32` or `i64`, as an address or index.
pub(super) fn evaluate_offset(instance: &InstanceData, expr: &ConstExpr) -> u64 {
    // SAFETY: `evaluate` writes all bytes; those above an `i32` are zero.
    unsafe { evaluate(instance, expr).i64 as u64 }
}

/// The value of an expression of a reference type, as a table element.
pub(super) fn evaluate_reference(instance: &InstanceData, expr: &ConstExpr) -> u64 {
    // SAFETY: `evaluate` writes all bytes.
    unsafe { evaluate(instance, expr).f64 }
}
