//! The host functions that modules may import: the same on every engine.
//!
//! What they return depends on their arguments and on nothing else, in a way that keeps every bit
//! of them visible.

use crate::observe::Value;
use seqfault::Feature;

/// The name of the module that they are imported from.
pub(crate) const MODULE: &str = "host";

/// The type of a parameter or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    I32,
    I64,
    F32,
    F64,
    V128,
    Func,
    Extern,
}

impl Type {
    /// Its name in the text format.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::V128 => "v128",
            Type::Func => "funcref",
            Type::Extern => "externref",
        }
    }
}

/// What a function does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Mixes all its arguments into its results.
    Mix,
    /// Fails for some arguments.
    Fail,
    /// Returns its arguments in reverse order.
    Reverse,
}

/// A host function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Type],
    pub(crate) results: &'static [Type],
    /// What its type needs.
    pub(crate) needs: &'static [Feature],
    act: Act,
}

/// The functions.
pub(crate) const FUNCTIONS: &[Function] = {
    use Type::*;
    &[
        Function { name: "none", params: &[], results: &[], needs: &[], act: Act::Mix },
        Function { name: "int", params: &[I32, I64], results: &[I32], needs: &[], act: Act::Mix },
        Function { name: "float", params: &[F32, F64], results: &[F64], needs: &[], act: Act::Mix },
        Function { name: "fail", params: &[I32], results: &[I32], needs: &[], act: Act::Fail },
        Function {
            name: "many",
            // More than there are registers of each kind.
            params: &[I32, F64, I64, I32, F32, I32, I64, I32, I64, F32, F64, I32],
            results: &[I32, F64, I64, F32],
            needs: &[Feature::MultiValue],
            act: Act::Mix,
        },
        Function {
            name: "vector",
            params: &[V128, I32, V128],
            results: &[V128],
            needs: &[Feature::Simd],
            act: Act::Mix,
        },
        Function {
            name: "swap",
            params: &[Func, Extern],
            results: &[Extern, Func],
            needs: &[Feature::ReferenceTypes, Feature::MultiValue],
            act: Act::Reverse,
        },
    ]
};

/// What a function returns.
pub(crate) enum Answer {
    /// These values, of the types of its results.
    Values(Vec<Value>),
    /// Its arguments, in reverse order: references stay what they are in the engine.
    Reversed,
    /// An error.
    Failure,
}

/// The error of a host function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a host function failed on purpose")
    }
}

impl std::error::Error for Failure {}
impl wasmi::errors::HostError for Failure {}

impl Function {
    /// The answer to `arguments`.
    pub(crate) fn answer(&self, arguments: &[Value]) -> Answer {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for argument in arguments {
            let bits = match *argument {
                Value::I32(value) => u128::from(value as u32),
                Value::I64(value) => u128::from(value as u64),
                Value::F32(bits) => u128::from(bits),
                Value::F64(bits) => u128::from(bits),
                Value::V128(bits) => bits,
                _ => 0,
            };
            for half in [bits as u64, (bits >> 64) as u64] {
                hash = (hash ^ half).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            }
        }
        match self.act {
            Act::Fail if hash.is_multiple_of(4) => Answer::Failure,
            Act::Reverse => Answer::Reversed,
            Act::Mix | Act::Fail => {
                let values = self.results.iter().enumerate();
                Answer::Values(
                    values.map(|(i, &ty)| value_of(ty, hash.rotate_left(i as u32 * 13))).collect(),
                )
            }
        }
    }
}

/// Floats are numbers here: NaNs are not the host's to make.
fn value_of(ty: Type, hash: u64) -> Value {
    match ty {
        Type::I32 => Value::I32(hash as i32),
        Type::I64 => Value::I64(hash as i64),
        Type::F32 => Value::F32((hash as i32 as f32).to_bits()),
        Type::F64 => Value::F64((hash as i64 as f64).to_bits()),
        Type::V128 => Value::V128(u128::from(hash) * 0x1_0000_0001_0000_0001),
        Type::Func | Type::Extern => Value::Null,
    }
}
