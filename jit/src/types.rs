//! The types of WebAssembly, as plain data shared by the whole runtime.
//!
//! Source: WebAssembly core specification, section 2.3 "Types". These types are our own, not
//! wasmparser's, so that a new version of the parser changes neither the engine's canonical types
//! nor the embedding API. The API has types of its own, which belong to an engine; of the types
//! here it exposes only memory types. `Display` prints the text format.

mod composite;
mod memory;

pub use composite::{ArrayType, CompositeType, FieldType, StorageType, StructType, SubType};
pub use memory::{InvalidMemoryType, MemoryType, MemoryTypeBuilder, WASM_PAGE_SIZE};

use std::fmt;

/// A heap type: what a reference can point to.
///
/// Concrete types are numbers in the index space of the user: type indices in a module, the
/// engine's ids once a type is canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeapType {
    /// Any function.
    Func,
    /// A function of one type.
    ConcreteFunc(u32),
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
    /// A struct of one type.
    ConcreteStruct(u32),
    /// Any array.
    Array,
    /// An array of one type.
    ConcreteArray(u32),
    /// No value of WebAssembly's own.
    None,
    /// Any exception.
    Exn,
    /// No exception.
    NoExn,
}

impl HeapType {
    /// Whether references to it are addresses of functions. All others are references into the
    /// store's heap.
    pub fn is_func(self) -> bool {
        matches!(self, HeapType::Func | HeapType::ConcreteFunc(_) | HeapType::NoFunc)
    }

    /// The number of a concrete type.
    pub fn concrete(self) -> Option<u32> {
        match self {
            HeapType::ConcreteFunc(i)
            | HeapType::ConcreteStruct(i)
            | HeapType::ConcreteArray(i) => Some(i),
            _ => None,
        }
    }

    /// The same type with another number, if it is concrete.
    fn map(self, f: &mut impl FnMut(u32) -> u32) -> HeapType {
        match self {
            HeapType::ConcreteFunc(i) => HeapType::ConcreteFunc(f(i)),
            HeapType::ConcreteStruct(i) => HeapType::ConcreteStruct(f(i)),
            HeapType::ConcreteArray(i) => HeapType::ConcreteArray(f(i)),
            other => other,
        }
    }
}

impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
            HeapType::ConcreteFunc(i)
            | HeapType::ConcreteStruct(i)
            | HeapType::ConcreteArray(i) => return i.fmt(f),
        })
    }
}

/// A reference type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    /// Whether `ref.null` is one of its values.
    pub nullable: bool,
    /// What it points to.
    pub heap: HeapType,
}

impl RefType {
    /// `funcref`, short for `(ref null func)`.
    pub const FUNCREF: RefType = RefType { nullable: true, heap: HeapType::Func };
    /// `externref`, short for `(ref null extern)`.
    pub const EXTERNREF: RefType = RefType { nullable: true, heap: HeapType::Extern };

    /// Whether it is a reference into the store's heap, whose objects move.
    pub fn is_gc(self) -> bool {
        !self.heap.is_func()
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.nullable { "(ref null " } else { "(ref " })?;
        write!(f, "{})", self.heap)
    }
}

/// A value type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// Whether it is a reference into the store's heap, whose objects move.
    pub fn is_gc(self) -> bool {
        matches!(self, ValType::Ref(ty) if ty.is_gc())
    }

    pub(crate) fn map(self, f: &mut impl FnMut(u32) -> u32) -> ValType {
        match self {
            ValType::Ref(ty) => ValType::Ref(RefType { heap: ty.heap.map(f), ..ty }),
            other => other,
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
            ValType::Ref(r) => r.fmt(f),
        }
    }
}

/// A function type: parameters and results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FuncType {
    // Parameters first, then results: one allocation.
    types: Box<[ValType]>,
    params: usize,
}

impl FuncType {
    /// A function type from its parameter and result types.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        let mut types: Vec<ValType> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        FuncType { types: types.into(), params }
    }

    /// The parameter types, in order.
    pub fn params(&self) -> &[ValType] {
        &self.types[..self.params]
    }

    /// The result types, in order.
    pub fn results(&self) -> &[ValType] {
        &self.types[self.params..]
    }

    pub(crate) fn map(&self, f: &mut impl FnMut(u32) -> u32) -> FuncType {
        let types = self.types.iter().map(|ty| ty.map(f)).collect();
        FuncType { types, params: self.params }
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(func")?;
        for (keyword, types) in [("param", self.params()), ("result", self.results())] {
            if types.is_empty() {
                continue;
            }
            write!(f, " ({keyword}")?;
            for ty in types {
                write!(f, " {ty}")?;
            }
            f.write_str(")")?;
        }
        f.write_str(")")
    }
}

/// The type of a table; sizes are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    /// The type of its elements.
    pub element: RefType,
    /// Elements at the start.
    pub minimum: u64,
    /// The most elements it may have, if declared.
    pub maximum: Option<u64>,
    /// Whether indices have 64 bits, not 32.
    pub table64: bool,
}

impl TableType {
    /// A table of `element`s with 32-bit indices, with sizes in elements.
    pub fn new(element: RefType, minimum: u32, maximum: Option<u32>) -> TableType {
        let maximum = maximum.map(u64::from);
        TableType { element, minimum: minimum.into(), maximum, table64: false }
    }

    /// A table of `element`s with 64-bit indices, with sizes in elements.
    pub fn new64(element: RefType, minimum: u64, maximum: Option<u64>) -> TableType {
        TableType { element, minimum, maximum, table64: true }
    }

    /// Whether indices have 64 bits.
    pub fn is_64(&self) -> bool {
        self.table64
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.table64 { "i64 " } else { "" };
        write!(f, "(table {width}{}", self.minimum)?;
        if let Some(maximum) = self.maximum {
            write!(f, " {maximum}")?;
        }
        write!(f, " {})", self.element)
    }
}

/// Whether a global can be assigned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutability {
    /// It keeps its first value.
    Const,
    /// `global.set` may change it.
    Var,
}

/// The type of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    /// The type of its value.
    pub content: ValType,
    /// Whether it can change.
    pub mutability: Mutability,
}

impl GlobalType {
    /// A global that holds a `content`.
    pub fn new(content: ValType, mutability: Mutability) -> GlobalType {
        GlobalType { content, mutability }
    }
}

impl fmt::Display for GlobalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutability {
            Mutability::Const => write!(f, "(global {})", self.content),
            Mutability::Var => write!(f, "(global (mut {}))", self.content),
        }
    }
}
