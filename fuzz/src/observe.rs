//! What can be seen of an engine from outside, in words that belong to no engine, and which
//! answers agree.

use std::fmt;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `i32`.
    I32(i32),
    /// `i64`.
    I64(i64),
    /// `f32`, as bits.
    F32(u32),
    /// `f64`, as bits.
    F64(u64),
    /// `v128`.
    V128(u128),
    /// A null reference of whatever type.
    Null,
    /// A function, and where it was exported if the engine can tell: the number of the instance and
    /// of the export.
    Func(Option<(usize, usize)>),
    /// One of the host's values.
    Extern(u32),
    /// `i31`.
    I31(i32),
    /// A struct, an array or an exception, and what is in it.
    Fields(Object, Vec<Value>),
    /// Any other object, or one that is too deep inside of others.
    Object(Object),
}

/// How deep inside of others objects are looked into.
pub(crate) const DEPTH: u32 = 3;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A struct.
    Struct,
    /// An array.
    Array,
    /// An exception.
    Exception,
    /// Something that came from outside, or went there.
    Foreign,
}

/// Why a guest was stopped: the kinds that all engines tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapKind {
    /// `unreachable`.
    Unreachable,
    /// Outside of a memory.
    Memory,
    /// Outside of a table, `call_indirect` included.
    Table,
    /// `call_indirect` to nothing.
    CallToNull,
    /// `call_indirect` to another type.
    Signature,
    /// An integer that does not fit.
    Overflow,
    /// A division by zero.
    DivisionByZero,
    /// A float that is no integer.
    Conversion,
    /// An atomic access that is not aligned.
    Misaligned,
    /// A wait on a memory that is not shared.
    UnsharedWait,
    /// A null reference where one is needed.
    Null,
    /// Outside of an array.
    Array,
    /// A cast to another type.
    Cast,
    /// The stack is used up: how soon depends on the engine.
    Stack,
    /// Memory is used up: how soon depends on the engine.
    OutOfMemory,
    /// Something else.
    Other,
}

/// How a call, or an instantiation, ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With these results.
    Returned(Vec<Value>),
    /// In a trap, of which the engine says the rest.
    Trapped(TrapKind, String),
    /// In an exception that nobody caught, with these fields.
    Threw(Vec<Value>),
    /// In the error of a host function.
    HostError,
    /// Before it began: the engine would not do it.
    Refused(String),
}

/// What one step of a script brought to light.
#[derive(Clone)]
pub enum Observation {
    /// Nothing can be seen, or the step was skipped.
    Nothing,
    /// The end of a call or an instantiation.
    Ended(Ending),
    /// The value of a global.
    Value(Value),
    /// The elements of a table.
    Elements(Vec<Value>),
    /// The contents of a memory.
    Bytes(Vec<u8>),
    /// The old size, if growing succeeded.
    Grown(Option<u64>),
    /// Whether the host's write was inside.
    Written(bool),
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Observation::Nothing => f.write_str("nothing"),
            Observation::Ended(ending) => write!(f, "{ending:?}"),
            Observation::Value(value) => write!(f, "{value:?}"),
            Observation::Elements(values) => write!(f, "{values:?}"),
            Observation::Bytes(bytes) => {
                let nonzero = bytes.iter().filter(|&&byte| byte != 0).count();
                write!(f, "{} bytes, {nonzero} of them not 0", bytes.len())
            }
            Observation::Grown(old) => write!(f, "grown from {old:?}"),
            Observation::Written(inside) => write!(f, "written: {inside}"),
        }
    }
}

/// Whether two engines agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do.
    Agree,
    /// They do not.
    Differ,
    /// What happened may happen sooner or later in another engine: from here on nothing can be
    /// compared.
    Incomparable,
}

impl Verdict {
    fn from_equality(equal: bool) -> Verdict {
        if equal { Verdict::Agree } else { Verdict::Differ }
    }
}

impl Observation {
    /// Whether `self` and `other`, seen at the same step, agree.
    pub fn agrees(&self, other: &Observation) -> Verdict {
        use Observation::*;
        match (self, other) {
            (Ended(a), Ended(b)) => a.agrees(b),
            (Value(a), Value(b)) => Verdict::from_equality(a.agrees(b)),
            (Elements(a), Elements(b)) => Verdict::from_equality(all_agree(a, b)),
            (Bytes(a), Bytes(b)) => Verdict::from_equality(a == b),
            (Grown(a), Grown(b)) => Verdict::from_equality(a == b),
            (Written(a), Written(b)) => Verdict::from_equality(a == b),
            (Nothing, Nothing) => Verdict::Agree,
            _ => Verdict::Differ,
        }
    }

    /// Where two memories of one size begin to differ.
    pub fn first_difference(&self, other: &Observation) -> Option<usize> {
        match (self, other) {
            (Observation::Bytes(a), Observation::Bytes(b)) => {
                a.iter().zip(b).position(|(a, b)| a != b)
            }
            _ => None,
        }
    }
}

impl TrapKind {
    fn agrees(self, other: TrapKind) -> bool {
        // Of an atomic access that is outside and not aligned, engines name one or the other.
        let atomic = [TrapKind::Memory, TrapKind::Misaligned];
        self == other || (atomic.contains(&self) && atomic.contains(&other))
    }
}

impl Ending {
    /// Whether the engine came to its limits, which are not those of another.
    fn is_exhausted(&self) -> bool {
        matches!(self, Ending::Trapped(TrapKind::Stack | TrapKind::OutOfMemory, _))
    }

    fn agrees(&self, other: &Ending) -> Verdict {
        if self.is_exhausted() || other.is_exhausted() {
            return Verdict::Incomparable;
        }
        Verdict::from_equality(match (self, other) {
            (Ending::Returned(a), Ending::Returned(b)) => all_agree(a, b),
            (Ending::Trapped(a, _), Ending::Trapped(b, _)) => a.agrees(*b),
            (Ending::Threw(a), Ending::Threw(b)) => all_agree(a, b),
            (Ending::HostError, Ending::HostError) => true,
            // All have refused, each in its own words.
            (Ending::Refused(_), Ending::Refused(_)) => true,
            _ => false,
        })
    }
}

fn all_agree(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.agrees(b))
}

impl Value {
    fn agrees(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::I32(a), Value::I32(b)) | (Value::I31(a), Value::I31(b)) => a == b,
            (Value::I64(a), Value::I64(b)) => a == b,
            (Value::F32(a), Value::F32(b)) => a == b,
            (Value::F64(a), Value::F64(b)) => a == b,
            (Value::V128(a), Value::V128(b)) => a == b,
            (Value::Extern(a), Value::Extern(b)) => a == b,
            (Value::Null, Value::Null) => true,
            // An engine may have several references for one function, and not know them again.
            (Value::Func(a), Value::Func(b)) => a == b || a.is_none() || b.is_none(),
            (Value::Object(a), Value::Object(b)) => a == b,
            (Value::Fields(a, in_a), Value::Fields(b, in_b)) => a == b && all_agree(in_a, in_b),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(value: Value) -> Observation {
        Observation::Ended(Ending::Returned(vec![value]))
    }

    fn trapped(kind: TrapKind) -> Observation {
        Observation::Ended(Ending::Trapped(kind, String::new()))
    }

    #[test]
    fn floats_are_compared_by_their_bits() {
        let zeros = [0.0_f32, -0.0].map(|zero| returned(Value::F32(zero.to_bits())));
        assert_eq!(zeros[0].agrees(&zeros[0]), Verdict::Agree);
        assert_eq!(zeros[0].agrees(&zeros[1]), Verdict::Differ);
    }

    #[test]
    fn exhaustion_on_either_side_ends_the_comparison() {
        let done = returned(Value::I32(1));
        assert_eq!(trapped(TrapKind::Stack).agrees(&done), Verdict::Incomparable);
        assert_eq!(done.agrees(&trapped(TrapKind::OutOfMemory)), Verdict::Incomparable);
        assert_eq!(done.agrees(&trapped(TrapKind::Unreachable)), Verdict::Differ);
        assert_eq!(trapped(TrapKind::Memory).agrees(&trapped(TrapKind::Table)), Verdict::Differ);
    }

    #[test]
    fn of_two_reasons_to_trap_either_may_be_named() {
        let [memory, misaligned] = [TrapKind::Memory, TrapKind::Misaligned].map(trapped);
        assert_eq!(memory.agrees(&misaligned), Verdict::Agree);
        assert_eq!(misaligned.agrees(&trapped(TrapKind::UnsharedWait)), Verdict::Differ);
    }

    #[test]
    fn functions_differ_only_where_both_are_known() {
        let (known, other) = (Value::Func(Some((0, 1))), Value::Func(Some((0, 2))));
        assert!(known.agrees(&Value::Func(None)));
        assert!(!known.agrees(&other));
        assert!(!known.agrees(&Value::Null));
    }

    #[test]
    fn memories_tell_where_they_differ() {
        let [a, b] = [vec![0, 1, 2], vec![0, 1, 3]].map(Observation::Bytes);
        assert_eq!(a.agrees(&b), Verdict::Differ);
        assert_eq!(a.first_difference(&b), Some(2));
    }
}
