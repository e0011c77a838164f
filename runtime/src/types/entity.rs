//! The types of tables and globals.

use super::{Mutability, RefType, ValType};
use crate::engine::RegisteredType;
use seqfault_jit::types as canonical;
use std::fmt;

/// The type of a table; sizes are in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    pub(crate) fn from_canonical(
        ty: &canonical::TableType,
        resolve: &dyn Fn(u32) -> RegisteredType,
    ) -> TableType {
        let &canonical::TableType { element, minimum, maximum, table64 } = ty;
        let element = RefType::from_canonical(element, resolve);
        TableType { element, minimum, maximum, table64 }
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

/// The type of a global.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    pub(crate) fn from_canonical(
        ty: &canonical::GlobalType,
        resolve: &dyn Fn(u32) -> RegisteredType,
    ) -> GlobalType {
        let content = ValType::from_canonical(ty.content, resolve);
        GlobalType { content, mutability: ty.mutability }
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
