//! The host functions that modules may import: the same on every engine.
//!
//! What they return depends on their arguments and on nothing else, in a way that keeps every bit
//! of them visible.

use crate::observe::Value;
use seqfault::Feature;
use std::sync::atomic::{AtomicU32, Ordering};

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
    Any,
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
            Type::Any => "anyref",
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
    /// Collects garbage before that.
    Collect,
    /// Throws for some arguments.
    Throw,
    /// Calls its first argument.
    Call,
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
        Function {
            name: "call",
            params: &[Func, I32],
            results: &[I32],
            needs: &[Feature::ReferenceTypes],
            act: Act::Call,
        },
        Function {
            name: "throw",
            params: &[I32, I64],
            results: &[I32],
            needs: &[Feature::Exceptions],
            act: Act::Throw,
        },
        Function {
            name: "look",
            params: &[Any, I32],
            results: &[I64],
            needs: &[Feature::Gc],
            act: Act::Mix,
        },
        Function {
            name: "box",
            params: &[I32],
            results: &[Any],
            needs: &[Feature::Gc],
            act: Act::Mix,
        },
        Function {
            name: "collect",
            params: &[Any, Extern, Any],
            results: &[Any, Extern, Any],
            needs: &[Feature::Gc, Feature::MultiValue],
            act: Act::Collect,
        },
    ]
};

/// What a function returns.
pub(crate) enum Answer {
    /// These values, of the types of its results.
    Values(Vec<Value>),
    /// Its arguments, in reverse order: references stay what they are in the engine.
    Reversed,
    /// The same, after garbage has been collected.
    Collected,
    /// What its first argument returns for this one: a function if it is of type [`CALLED`].
    Called(i32),
    /// An exception of the tag [`TAG`], with these fields.
    Thrown([Value; 2]),
    /// An error.
    Failure,
}

/// The type of functions that the host calls: its parameters, and its results.
pub(crate) const CALLED: (&[Type], &[Type]) = (&[Type::I32], &[Type::I32]);

/// The name of the tag of exceptions that the host throws, and the types of their fields.
pub(crate) const TAG: (&str, &[Type]) = ("tag", &[Type::I32, Type::I64]);

/// How deep calls of guests by the host may be nested: native stacks are none of a script's matter.
const NESTING: u32 = 8;

/// Counts the calls of guests by the host that are under way in a store.
#[derive(Debug, Default)]
pub(crate) struct Nesting(AtomicU32);

impl Nesting {
    /// Does `call`, unless too many are under way.
    pub(crate) fn within<R>(&self, call: impl FnOnce() -> R) -> Result<R, Failure> {
        // Relaxed: a store is used by one thread.
        if self.0.load(Ordering::Relaxed) == NESTING {
            return Err(Failure);
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        let result = call();
        self.0.fetch_sub(1, Ordering::Relaxed);
        Ok(result)
    }
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
        let hash = arguments.iter().fold(0xcbf2_9ce4_8422_2325, mix);
        match self.act {
            Act::Fail if hash.is_multiple_of(4) => Answer::Failure,
            Act::Reverse => Answer::Reversed,
            Act::Collect => Answer::Collected,
            Act::Call => Answer::Called(match arguments {
                [_, Value::I32(argument)] => *argument,
                _ => 0,
            }),
            Act::Throw if !hash.is_multiple_of(4) => {
                Answer::Thrown([Value::I32(hash as i32), Value::I64(hash as i64)])
            }
            Act::Mix | Act::Fail | Act::Throw => {
                let values = self.results.iter().enumerate();
                Answer::Values(
                    values.map(|(i, &ty)| value_of(ty, hash.rotate_left(i as u32 * 13))).collect(),
                )
            }
        }
    }
}

/// Mixes a value into a hash: all of it that every engine can see.
fn mix(hash: u64, value: &Value) -> u64 {
    let bits = match *value {
        Value::I32(value) => u128::from(value as u32),
        Value::I64(value) => u128::from(value as u64),
        Value::F32(bits) => u128::from(bits),
        Value::F64(bits) => u128::from(bits),
        Value::V128(bits) => bits,
        Value::I31(value) => u128::from(value as u32) << 1 | 1,
        Value::Extern(number) => u128::from(number),
        Value::Null => 0,
        Value::Func(_) => 2,
        Value::Object(object) => 3 + object as u128,
        Value::Fields(object, ref values) => u128::from(values.iter().fold(3 + object as u64, mix)),
    };
    [bits as u64, (bits >> 64) as u64]
        .iter()
        .fold(hash, |hash, half| (hash ^ half).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

/// Floats are numbers here: NaNs are not the host's to make.
fn value_of(ty: Type, hash: u64) -> Value {
    match ty {
        Type::I32 => Value::I32(hash as i32),
        Type::I64 => Value::I64(hash as i64),
        Type::F32 => Value::F32((hash as i32 as f32).to_bits()),
        Type::F64 => Value::F64((hash as i64 as f64).to_bits()),
        Type::V128 => Value::V128(u128::from(hash) * 0x1_0000_0001_0000_0001),
        Type::Any => Value::I31((hash as i32) << 1 >> 1),
        Type::Func | Type::Extern => Value::Null,
    }
}
