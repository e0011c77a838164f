//! Checks that imports are what a module asks for.
//!
//! Source: specification section 4.5.3 "Import Subtyping".

use super::externs::Extern;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::store::StoreOpaque;
use crate::types::{ExternType, GlobalType, MemoryType, Mutability, TableType};
use seqfault_jit::message::Escaped;
use std::fmt;

/// An import that is missing or does not match.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkError {
    /// It is not defined.
    UnknownImport {
        /// The module part of its name.
        module: String,
        /// The field part of its name.
        name: String,
        /// The type that it must have.
        ty: Box<ExternType>,
    },
    /// The given value has another type.
    IncompatibleImport {
        /// The module part of its name.
        module: String,
        /// The field part of its name.
        name: String,
        /// The type that it must have.
        expected: Box<ExternType>,
        /// The type that it has.
        found: Box<ExternType>,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::UnknownImport { module, name, ty } => {
                let (module, name, ty) =
                    (Escaped::name(module), Escaped::name(name), ty.to_string());
                let ty = Escaped::name(&ty);
                write!(f, "unknown import: `{module}::{name}`, which must be {ty}")
            }
            LinkError::IncompatibleImport { module, name, expected, found } => {
                let (expected, found) = (expected.to_string(), found.to_string());
                write!(
                    f,
                    "incompatible import type for `{}::{}`: expected {}, found {}",
                    Escaped::name(module),
                    Escaped::name(name),
                    Escaped::name(&expected),
                    Escaped::name(&found),
                )?;
                if expected == found {
                    f.write_str(
                        " of another declaration: one is final and the other is not, or their supertypes or \
                         recursion groups differ",
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LinkError {}

/// An error unless `imports`, all from this store, are what `module` asks for.
pub(super) fn check_imports(
    store: &StoreOpaque,
    module: &Module,
    imports: &[Extern],
) -> Result<()> {
    // First, since no type of another engine is any of the types that the module asks for.
    if !Engine::same(store.engine(), module.engine()) {
        return Err(Error::msg("the module belongs to another engine than the store"));
    }
    let expected = module.info().imports.len();
    if imports.len() != expected {
        let found = imports.len();
        return Err(Error::msg(format!("expected {expected} imports, found {found}")));
    }
    for (import, given) in module.imports().zip(imports) {
        given.check(store);
        let found = given.current_type(store);
        check_type(import.module(), import.name(), import.ty(), &found)?;
    }
    Ok(())
}

/// Whether `found` is acceptable where `expected` is asked for.
pub(super) fn check_type(
    module: &str,
    name: &str,
    expected: &ExternType,
    found: &ExternType,
) -> Result<(), LinkError> {
    match matches(expected, found) {
        true => Ok(()),
        false => Err(LinkError::IncompatibleImport {
            module: module.to_owned(),
            name: name.to_owned(),
            expected: Box::new(expected.clone()),
            found: Box::new(found.clone()),
        }),
    }
}

fn matches(expected: &ExternType, found: &ExternType) -> bool {
    match (expected, found) {
        (ExternType::Func(expected), ExternType::Func(found)) => found.matches(expected),
        (ExternType::Global(expected), ExternType::Global(found)) => {
            global_matches(expected, found)
        }
        (ExternType::Table(expected), ExternType::Table(found)) => table_matches(expected, found),
        (ExternType::Memory(expected), ExternType::Memory(found)) => {
            memory_matches(expected, found)
        }
        (ExternType::Tag(expected), ExternType::Tag(found)) => expected == found,
        _ => false,
    }
}

fn global_matches(expected: &GlobalType, found: &GlobalType) -> bool {
    expected.mutability == found.mutability
        && match found.mutability {
            Mutability::Const => found.content.matches(&expected.content),
            Mutability::Var => found.content == expected.content,
        }
}

fn table_matches(expected: &TableType, found: &TableType) -> bool {
    expected.element == found.element
        && expected.table64 == found.table64
        && limits_match((expected.minimum, expected.maximum), (found.minimum, found.maximum))
}

fn memory_matches(expected: &MemoryType, found: &MemoryType) -> bool {
    expected.shared == found.shared
        && expected.memory64 == found.memory64
        && expected.page_size_log2 == found.page_size_log2
        && limits_match((expected.minimum, expected.maximum), (found.minimum, found.maximum))
}

fn limits_match(expected: (u64, Option<u64>), found: (u64, Option<u64>)) -> bool {
    let maximum = match (expected.1, found.1) {
        (None, _) => true,
        (Some(expected), Some(found)) => found <= expected,
        (Some(_), None) => false,
    };
    found.0 >= expected.0 && maximum
}
