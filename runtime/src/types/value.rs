//! Value types, and which of them match.
//!
//! Source: specification sections 2.3 "Types" and 3.3 "Matching".

use super::{ArrayType, FuncType, StructType};
use crate::engine::RegisteredType;
use seqfault_jit::types as canonical;
use std::fmt;

/// What a reference can point to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeapType {
    /// Any function.
    Func,
    /// A function of one type, or of one that refines it.
    ConcreteFunc(FuncType),
    /// No function.
    NoFunc,
    /// Any value that comes from outside.
    Extern,
    /// No value from outside.
    NoExtern,
    /// Any value of WebAssembly's own.
    Any,
    /// What `ref.eq` can compare.
    Eq,
    /// Unboxed 31-bit integers.
    I31,
    /// Any struct.
    Struct,
    /// A struct of one type, or of one that refines it.
    ConcreteStruct(StructType),
    /// Any array.
    Array,
    /// An array of one type, or of one that refines it.
    ConcreteArray(ArrayType),
    /// No value of WebAssembly's own.
    None,
    /// Any exception.
    Exn,
    /// No exception.
    NoExn,
}

impl HeapType {
    /// The largest type that includes this one.
    pub fn top(&self) -> HeapType {
        match self {
            HeapType::Func | HeapType::ConcreteFunc(_) | HeapType::NoFunc => HeapType::Func,
            HeapType::Extern | HeapType::NoExtern => HeapType::Extern,
            HeapType::Exn | HeapType::NoExn => HeapType::Exn,
            _ => HeapType::Any,
        }
    }

    /// Whether null is the only value of this type.
    pub fn is_bottom(&self) -> bool {
        matches!(self, HeapType::NoFunc | HeapType::NoExtern | HeapType::None | HeapType::NoExn)
    }

    /// Whether every value of this type is a value of `other`.
    pub fn matches(&self, other: &HeapType) -> bool {
        use HeapType::*;
        match (self, other) {
            (ConcreteFunc(a), ConcreteFunc(b)) => a.matches(b),
            (ConcreteStruct(a), ConcreteStruct(b)) => a.matches(b),
            (ConcreteArray(a), ConcreteArray(b)) => a.matches(b),
            (NoFunc | NoExtern | None | NoExn, _) => self.top() == other.top(),
            (_, Func | Extern | Any | Exn) => self.top() == *other,
            (I31 | Struct | Array | ConcreteStruct(_) | ConcreteArray(_), Eq) => true,
            (ConcreteStruct(_), Struct) | (ConcreteArray(_), Array) => true,
            _ => self == other,
        }
    }

    /// The type of the API for a canonical type; `concrete` types are resolved by their number.
    pub(crate) fn from_canonical(
        ty: canonical::HeapType,
        resolve: &dyn Fn(u32) -> RegisteredType,
    ) -> HeapType {
        use canonical::HeapType as H;
        match ty {
            H::Func => HeapType::Func,
            H::ConcreteFunc(id) => HeapType::ConcreteFunc(FuncType::registered(resolve(id))),
            H::NoFunc => HeapType::NoFunc,
            H::Extern => HeapType::Extern,
            H::NoExtern => HeapType::NoExtern,
            H::Any => HeapType::Any,
            H::Eq => HeapType::Eq,
            H::I31 => HeapType::I31,
            H::Struct => HeapType::Struct,
            H::ConcreteStruct(id) => HeapType::ConcreteStruct(StructType::registered(resolve(id))),
            H::Array => HeapType::Array,
            H::ConcreteArray(id) => HeapType::ConcreteArray(ArrayType::registered(resolve(id))),
            H::None => HeapType::None,
            H::Exn => HeapType::Exn,
            H::NoExn => HeapType::NoExn,
            other => unreachable!("a heap type of no module: {other:?}"),
        }
    }

    /// The canonical type. `refer` gets each type that this refers to, and returns its number.
    pub(super) fn to_canonical(
        &self,
        refer: &mut dyn FnMut(Concrete<'_>) -> u32,
    ) -> canonical::HeapType {
        use canonical::HeapType as H;
        match self {
            HeapType::Func => H::Func,
            HeapType::ConcreteFunc(ty) => H::ConcreteFunc(refer(Concrete::Func(ty))),
            HeapType::NoFunc => H::NoFunc,
            HeapType::Extern => H::Extern,
            HeapType::NoExtern => H::NoExtern,
            HeapType::Any => H::Any,
            HeapType::Eq => H::Eq,
            HeapType::I31 => H::I31,
            HeapType::Struct => H::Struct,
            HeapType::ConcreteStruct(ty) => H::ConcreteStruct(refer(Concrete::Other(ty.inner()))),
            HeapType::Array => H::Array,
            HeapType::ConcreteArray(ty) => H::ConcreteArray(refer(Concrete::Other(ty.inner()))),
            HeapType::None => H::None,
            HeapType::Exn => H::Exn,
            HeapType::NoExn => H::NoExn,
        }
    }
}

/// A type that another one refers to.
pub(super) enum Concrete<'a> {
    /// A function type, which need not be registered.
    Func(&'a FuncType),
    /// Any other type, which is always registered.
    Other(&'a RegisteredType),
}

impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeapType::ConcreteFunc(ty) => return ty.fmt(f),
            HeapType::ConcreteStruct(ty) => return ty.fmt(f),
            HeapType::ConcreteArray(ty) => return ty.fmt(f),
            HeapType::Func => "func",
            HeapType::NoFunc => "nofunc",
            HeapType::Extern => "extern",
            HeapType::NoExtern => "noextern",
            HeapType::Any => "any",
            HeapType::Eq => "eq",
            HeapType::I31 => "i31",
            HeapType::Struct => "struct",
            HeapType::Array => "array",
            HeapType::None => "none",
            HeapType::Exn => "exn",
            HeapType::NoExn => "noexn",
        })
    }
}

/// A reference type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefType {
    nullable: bool,
    heap_type: HeapType,
}

impl RefType {
    /// `funcref`, short for `(ref null func)`.
    pub const FUNCREF: RefType = RefType { nullable: true, heap_type: HeapType::Func };
    /// `externref`, short for `(ref null extern)`.
    pub const EXTERNREF: RefType = RefType { nullable: true, heap_type: HeapType::Extern };
    /// `anyref`, short for `(ref null any)`.
    pub const ANYREF: RefType = RefType { nullable: true, heap_type: HeapType::Any };
    /// `exnref`, short for `(ref null exn)`.
    pub const EXNREF: RefType = RefType { nullable: true, heap_type: HeapType::Exn };

    /// References to a `heap_type`.
    pub const fn new(nullable: bool, heap_type: HeapType) -> RefType {
        RefType { nullable, heap_type }
    }

    /// Whether `ref.null` is one of its values.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What it points to.
    pub fn heap_type(&self) -> &HeapType {
        &self.heap_type
    }

    /// Whether every value of this type is a value of `other`.
    pub fn matches(&self, other: &RefType) -> bool {
        (other.nullable || !self.nullable) && self.heap_type.matches(&other.heap_type)
    }

    /// Whether it is a reference into the store's heap.
    pub(crate) fn is_gc(&self) -> bool {
        self.heap_type.top() != HeapType::Func
    }

    pub(crate) fn from_canonical(
        ty: canonical::RefType,
        resolve: &dyn Fn(u32) -> RegisteredType,
    ) -> RefType {
        RefType::new(ty.nullable, HeapType::from_canonical(ty.heap, resolve))
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nullable, &self.heap_type) {
            (true, HeapType::Func) => f.write_str("funcref"),
            (true, HeapType::Extern) => f.write_str("externref"),
            (true, HeapType::Any) => f.write_str("anyref"),
            (true, HeapType::Exn) => f.write_str("exnref"),
            (true, heap_type) => write!(f, "(ref null {heap_type})"),
            (false, heap_type) => write!(f, "(ref {heap_type})"),
        }
    }
}

/// A value type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// 128-bit vector.
    V128,
    /// Reference.
    Ref(RefType),
}

impl ValType {
    /// The nullable function reference type.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// The nullable host reference type.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// The nullable type of WebAssembly's own values.
    pub const ANYREF: ValType = ValType::Ref(RefType::ANYREF);
    /// The nullable exception reference type.
    pub const EXNREF: ValType = ValType::Ref(RefType::EXNREF);

    /// Whether every value of this type is a value of `other`.
    pub fn matches(&self, other: &ValType) -> bool {
        match (self, other) {
            (ValType::Ref(a), ValType::Ref(b)) => a.matches(b),
            _ => self == other,
        }
    }

    /// Whether it is a reference into the store's heap.
    pub(crate) fn is_gc(&self) -> bool {
        self.as_ref().is_some_and(RefType::is_gc)
    }

    /// The reference type, if it is one.
    pub fn as_ref(&self) -> Option<&RefType> {
        match self {
            ValType::Ref(ty) => Some(ty),
            _ => None,
        }
    }

    pub(crate) fn from_canonical(
        ty: canonical::ValType,
        resolve: &dyn Fn(u32) -> RegisteredType,
    ) -> ValType {
        match ty {
            canonical::ValType::I32 => ValType::I32,
            canonical::ValType::I64 => ValType::I64,
            canonical::ValType::F32 => ValType::F32,
            canonical::ValType::F64 => ValType::F64,
            canonical::ValType::V128 => ValType::V128,
            canonical::ValType::Ref(ty) => ValType::Ref(RefType::from_canonical(ty, resolve)),
        }
    }

    pub(super) fn to_canonical(
        &self,
        refer: &mut dyn FnMut(Concrete<'_>) -> u32,
    ) -> canonical::ValType {
        match self {
            ValType::I32 => canonical::ValType::I32,
            ValType::I64 => canonical::ValType::I64,
            ValType::F32 => canonical::ValType::F32,
            ValType::F64 => canonical::ValType::F64,
            ValType::V128 => canonical::ValType::V128,
            ValType::Ref(ty) => canonical::ValType::Ref(canonical::RefType {
                nullable: ty.nullable,
                heap: ty.heap_type.to_canonical(refer),
            }),
        }
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValType::I32 => f.write_str("i32"),
            ValType::I64 => f.write_str("i64"),
            ValType::F32 => f.write_str("f32"),
            ValType::F64 => f.write_str("f64"),
            ValType::V128 => f.write_str("v128"),
            ValType::Ref(ty) => ty.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abstract_types_form_four_hierarchies() {
        use HeapType::*;
        let chains = [
            [None, I31, Eq, Any],
            [None, Struct, Eq, Any],
            [None, Array, Eq, Any],
            [NoFunc, Func, Func, Func],
            [NoExtern, Extern, Extern, Extern],
            [NoExn, Exn, Exn, Exn],
        ];
        for chain in &chains {
            for (low, ty) in chain.iter().enumerate() {
                assert!(chain[low..].iter().all(|above| ty.matches(above)), "{ty}");
            }
        }
        assert!(!Any.matches(&Eq) && !Struct.matches(&Array) && !None.matches(&Func));
        assert!(!Func.matches(&Any) && !NoExtern.matches(&Any));
    }

    #[test]
    fn null_matters() {
        let non_null = RefType::new(false, HeapType::Func);
        assert!(non_null.matches(&RefType::FUNCREF) && !RefType::FUNCREF.matches(&non_null));
    }
}
