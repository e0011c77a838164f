//! The types of WebAssembly, as the embedding API has them.
//!
//! Types of functions, structs and arrays belong to an engine, in which equal types are the same
//! ([`RegisteredType`]). Types that refer to them keep them alive.

mod entity;
mod func;
mod object;
mod tag;
mod value;

pub use entity::{GlobalType, TableType};
pub use func::FuncType;
pub use object::{ArrayType, FieldType, Finality, StorageType, StructType};
pub use seqfault_jit::types::{
    InvalidMemoryType, MemoryType, MemoryTypeBuilder, Mutability, WASM_PAGE_SIZE,
};
pub use tag::TagType;
pub use value::{HeapType, RefType, ValType};

use crate::engine::{Engine, RegisteredType};
use seqfault_jit::types::SubType;
use std::cell::Cell;
use std::fmt;
use value::Concrete;

/// Whether each of `a` matches its counterpart.
pub(crate) fn all_match(a: &[ValType], b: &[ValType]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.matches(b))
}

/// Registers a type that another type refers to, and adds it to `others`. Returns its id.
fn refer(engine: &Engine, others: &mut Vec<RegisteredType>, ty: Concrete<'_>) -> u32 {
    let ty = match ty {
        Concrete::Func(ty) => ty.register(engine),
        Concrete::Other(ty) => {
            assert!(engine.types().owns(ty), "a type used with another engine than its own");
            ty.clone()
        }
    };
    let id = ty.id().0;
    others.push(ty);
    id
}

/// Registers a type that refers to `others` by their ids.
fn intern(engine: &Engine, ty: &SubType, others: Vec<RegisteredType>) -> RegisteredType {
    engine.types().intern(ty, |id| {
        let other = others.iter().find(|other| other.id().0 == id);
        other.expect("everything that is referred to was registered").clone()
    })
}

/// Prints `(keyword ...)`. Types may refer to themselves from each of their `parts`. So inside
/// another type, a type with many parts is printed as its keyword only, and deeper inside every
/// type is.
fn nested(
    f: &mut fmt::Formatter<'_>,
    keyword: &str,
    parts: usize,
    rest: impl FnOnce(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    const DEPTH: u32 = 2;
    const PARTS_INSIDE: usize = 8;
    thread_local! {
        static NESTING: Cell<u32> = const { Cell::new(0) };
    }
    let depth = NESTING.get();
    if depth >= DEPTH || depth > 0 && parts > PARTS_INSIDE {
        return write!(f, "({keyword} ...)");
    }
    write!(f, "({keyword}")?;
    NESTING.set(depth + 1);
    let result = rest(f);
    NESTING.set(depth);
    result?;
    f.write_str(")")
}

/// The type of something that can be imported or exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag.
    Tag(TagType),
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => ty.fmt(f),
            ExternType::Table(ty) => ty.fmt(f),
            ExternType::Memory(ty) => ty.fmt(f),
            ExternType::Global(ty) => ty.fmt(f),
            ExternType::Tag(ty) => ty.fmt(f),
        }
    }
}

/// One import of a module.
#[derive(Clone, Debug)]
pub struct ImportType<'a> {
    module: &'a str,
    name: &'a str,
    ty: ExternType,
}

impl<'a> ImportType<'a> {
    pub(crate) fn new(module: &'a str, name: &'a str, ty: ExternType) -> ImportType<'a> {
        ImportType { module, name, ty }
    }

    /// The module part of its name.
    pub fn module(&self) -> &'a str {
        self.module
    }

    /// The field part of its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What it must be.
    pub fn ty(&self) -> &ExternType {
        &self.ty
    }
}

/// One export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'a> {
    name: &'a str,
    ty: ExternType,
}

impl<'a> ExportType<'a> {
    pub(crate) fn new(name: &'a str, ty: ExternType) -> ExportType<'a> {
        ExportType { name, ty }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What it is.
    pub fn ty(&self) -> &ExternType {
        &self.ty
    }
}
