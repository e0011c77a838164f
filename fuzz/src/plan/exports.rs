//! What a module exports, read from its binary.

use wasmparser::types::EntityType;
use wasmparser::{Parser, Payload, ValType, Validator, WasmFeatures};

/// One export.
#[derive(Clone, Debug)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What can be exported.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A function.
    Func {
        /// The types of its parameters.
        params: Vec<ValType>,
        /// The types of its results.
        results: Vec<ValType>,
        /// Whether it is an import of the module.
        imported: bool,
    },
    /// A memory.
    Memory(wasmparser::MemoryType),
    /// A table.
    Table(wasmparser::TableType),
    /// A global.
    Global(wasmparser::GlobalType),
    /// A tag.
    Tag,
}

/// The exports of a module, in order. None if the module is not valid, which would be the
/// generator's fault.
pub(super) fn of(wasm: &[u8]) -> Option<Vec<Export>> {
    let types = Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).ok()?;
    let types = types.as_ref();
    let imported = types.core_imports()?;
    let imported = imported
        .filter(|(.., ty)| matches!(ty, EntityType::Func(_) | EntityType::FuncExact(_)))
        .count();
    let mut exports = Vec::new();
    for section in Parser::new(0).parse_all(wasm) {
        let Ok(Payload::ExportSection(section)) = section else { continue };
        for export in section {
            let export = export.ok()?;
            let kind = match types.entity_type_from_export(&export)? {
                EntityType::Func(id) | EntityType::FuncExact(id) => {
                    let ty = types[id].unwrap_func();
                    Kind::Func {
                        params: ty.params().to_vec(),
                        results: ty.results().to_vec(),
                        imported: (export.index as usize) < imported,
                    }
                }
                EntityType::Memory(ty) => Kind::Memory(ty),
                EntityType::Table(ty) => Kind::Table(ty),
                EntityType::Global(ty) => Kind::Global(ty),
                EntityType::Tag(_) => Kind::Tag,
            };
            exports.push(Export { name: export.name.to_owned(), kind });
        }
    }
    Some(exports)
}
