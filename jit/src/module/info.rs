//! [`ModuleInfo`]: types, imports, declarations, segments and exports of one module.
//!
//! Index spaces are the specification's: imports come first, and every index is a plain `u32` as in
//! the binary. "Defined" indices count from the first entity that is not imported.

use super::BranchHints;
use super::types::ModuleTypes;
use crate::types::{FuncType, GlobalType, MemoryType, RefType, TableType};
use smallvec::SmallVec;
use std::ops::Range;

/// What one module declares.
#[derive(Debug, Default)]
pub struct ModuleInfo {
    /// The name of the module, from the name section.
    pub name: Option<String>,
    /// Its types, by type index.
    pub types: ModuleTypes,
    /// Its imports, in order.
    pub imports: Vec<Import>,
    /// How many functions are imported.
    pub num_imported_functions: usize,
    /// How many tables are imported.
    pub num_imported_tables: usize,
    /// How many memories are imported.
    pub num_imported_memories: usize,
    /// How many globals are imported.
    pub num_imported_globals: usize,
    /// How many tags are imported.
    pub num_imported_tags: usize,
    /// The type index of each function.
    pub functions: Vec<u32>,
    /// Each table.
    pub tables: Vec<TableInfo>,
    /// Each memory.
    pub memories: Vec<MemoryType>,
    /// Each global.
    pub globals: Vec<GlobalType>,
    /// The type index of each tag.
    pub tags: Vec<u32>,
    /// The first value of each global that the module defines.
    pub global_inits: Vec<ConstExpr>,
    /// Its exports, in order; names are unique.
    pub exports: Vec<Export>,
    /// The start function.
    pub start: Option<u32>,
    /// Its element segments.
    pub elements: Vec<ElementSegment>,
    /// Its data segments.
    pub data: Vec<DataSegment>,
    /// The range of each defined function's body in the module's bytes.
    pub bodies: Vec<Range<usize>>,
    /// The range of the name section's contents in the module's bytes, which has the function
    /// names.
    pub name_section: Option<Range<usize>>,
    /// Which way branches usually go, according to the branch hint section.
    pub branch_hints: BranchHints,
    /// The functions that can become values (exported, in a segment, `ref.func`), ascending.
    pub escaped_functions: Vec<u32>,
}

impl ModuleInfo {
    /// The type of a function.
    pub fn func_type(&self, func: u32) -> &FuncType {
        self.types.func(self.functions[func as usize])
    }

    /// The type of a tag, as a function type: its parameters are the values of an exception.
    pub fn tag_type(&self, tag: u32) -> &FuncType {
        self.types.func(self.tags[tag as usize])
    }

    /// Whether a function is imported.
    pub fn is_imported_function(&self, func: u32) -> bool {
        (func as usize) < self.num_imported_functions
    }

    /// Whether a global is imported.
    pub fn is_imported_global(&self, global: u32) -> bool {
        (global as usize) < self.num_imported_globals
    }

    /// The defined index of a function, or `None` for an import.
    pub fn defined_function(&self, func: u32) -> Option<usize> {
        (func as usize).checked_sub(self.num_imported_functions)
    }

    /// How many functions can become values.
    pub fn num_escaped_functions(&self) -> usize {
        self.escaped_functions.len()
    }

    /// The index of a function in [`ModuleInfo::escaped_functions`].
    pub fn escaped_index(&self, func: u32) -> Option<u32> {
        self.escaped_functions.binary_search(&func).ok().map(|i| i as u32)
    }
}

/// One import.
#[derive(Clone, Debug)]
pub struct Import {
    /// The module part of its name.
    pub module: String,
    /// The field part of its name.
    pub name: String,
    /// The type that it must have.
    pub ty: EntityType,
}

/// The type of something that can be imported or exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityType {
    /// A function, with its type index.
    Function(u32),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag, with its type index.
    Tag(u32),
}

/// One export.
#[derive(Clone, Debug)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// The exported entity.
    pub entity: EntityIndex,
}

/// An entity of a module, by its kind and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityIndex {
    /// A function.
    Function(u32),
    /// A table.
    Table(u32),
    /// A memory.
    Memory(u32),
    /// A global.
    Global(u32),
    /// A tag.
    Tag(u32),
}

/// A table and the initial value of its elements.
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// Its type.
    pub ty: TableType,
    /// The first value of each element; `None` is null.
    pub init: Option<ConstExpr>,
}

/// A constant expression: operations on a stack, leaving one value.
///
/// Source: specification section 3.3.10 "Constant Expressions".
#[derive(Clone, Debug, Default)]
pub struct ConstExpr {
    /// The operations, in order, without the final `end`.
    pub ops: SmallVec<[ConstOp; 1]>,
}

/// One operation of a constant expression.
#[derive(Clone, Copy, Debug)]
pub enum ConstOp {
    /// `i32.const`.
    I32Const(i32),
    /// `i64.const`.
    I64Const(i64),
    /// `f32.const`, as bits.
    F32Const(u32),
    /// `f64.const`, as bits.
    F64Const(u64),
    /// `v128.const`, little-endian. Bytes, so that operations stay small.
    V128Const([u8; 16]),
    /// `global.get`.
    GlobalGet(u32),
    /// `ref.null`.
    RefNull,
    /// `ref.func`.
    RefFunc(u32),
    /// `i32.add`.
    I32Add,
    /// `i32.sub`.
    I32Sub,
    /// `i32.mul`.
    I32Mul,
    /// `i64.add`.
    I64Add,
    /// `i64.sub`.
    I64Sub,
    /// `i64.mul`.
    I64Mul,
    /// `ref.i31`.
    RefI31,
    /// `struct.new` of a type.
    StructNew(u32),
    /// `struct.new_default` of a type.
    StructNewDefault(u32),
    /// `array.new` of a type.
    ArrayNew(u32),
    /// `array.new_default` of a type.
    ArrayNewDefault(u32),
    /// `array.new_fixed`.
    ArrayNewFixed {
        /// The type.
        ty: u32,
        /// How many elements.
        len: u32,
    },
}

/// An element segment.
#[derive(Clone, Debug)]
pub struct ElementSegment {
    /// What happens to it at instantiation.
    pub mode: ElementMode,
    /// The type of its elements.
    pub ty: RefType,
    /// Its elements.
    pub items: ElementItems,
}

/// What happens to an element segment at instantiation.
#[derive(Clone, Debug)]
pub enum ElementMode {
    /// Kept for `table.init`.
    Passive,
    /// Only declares references; dropped at once.
    Declared,
    /// Copied into a table.
    Active {
        /// The table.
        table: u32,
        /// The first index.
        offset: ConstExpr,
    },
}

/// The elements of a segment.
#[derive(Clone, Debug)]
pub enum ElementItems {
    /// Functions, by index.
    Functions(Box<[u32]>),
    /// One expression each.
    Expressions(Box<[ConstExpr]>),
}

impl ElementItems {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            ElementItems::Functions(items) => items.len(),
            ElementItems::Expressions(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data segment.
#[derive(Clone, Debug)]
pub struct DataSegment {
    /// What happens to it at instantiation.
    pub mode: DataMode,
    /// The range of its contents in the module's bytes.
    pub range: Range<usize>,
}

/// What happens to a data segment at instantiation.
#[derive(Clone, Debug)]
pub enum DataMode {
    /// Kept for `memory.init`.
    Passive,
    /// Copied into a memory.
    Active {
        /// The memory.
        memory: u32,
        /// The first address.
        offset: ConstExpr,
    },
}
