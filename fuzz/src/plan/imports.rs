//! What generated modules may import, as a module in the text format that imports all of it: the
//! form in which the generator wants to be told.

use super::Module;
use super::exports::Kind;
use crate::host;
use seqfault::Feature;
use std::fmt::Write;
use wasmparser::{RefType, ValType};

/// What a module may import.
pub(super) struct Offer {
    /// A module that imports all of it.
    pub(super) wasm: Vec<u8>,
    /// How many functions are among it.
    pub(super) funcs: usize,
}

/// Everything that the host and `earlier` modules have on offer, as far as its type can be written
/// down without naming others, and the features suffice.
pub(super) fn available(features: &[Feature], earlier: &[Module]) -> Offer {
    let mut text = String::from("(module\n");
    let mut funcs = 0;
    for function in host::FUNCTIONS {
        if function.needs.iter().all(|need| features.contains(need)) {
            let names = |types: &[host::Type]| -> Vec<_> {
                types.iter().map(|ty| ty.name().to_owned()).collect()
            };
            let ty = func(&names(function.params), &names(function.results));
            import(&mut text, host::MODULE, function.name, &ty);
            funcs += 1;
        }
    }
    for module in earlier {
        for export in &module.exports {
            if let Some(ty) = entity(&export.kind) {
                import(&mut text, module.name, &export.name, &ty);
                funcs += usize::from(matches!(export.kind, Kind::Func { .. }));
            }
        }
    }
    text.push(')');
    let wasm = wat::parse_str(&text).expect("imports of types that were written by this file");
    Offer { wasm, funcs }
}

fn import(text: &mut String, module: &str, name: &str, ty: &str) {
    writeln!(text, "(import {module:?} {name:?} {ty})").expect("strings have room");
}

fn func(params: &[String], results: &[String]) -> String {
    format!("(func (param {}) (result {}))", params.join(" "), results.join(" "))
}

fn entity(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Func { params, results, .. } => func(&names(params)?, &names(results)?),
        // The generator takes offers of what is on by default in its parser only.
        Kind::Memory(ty) if ty.page_size_log2.is_some() => return None,
        Kind::Memory(ty) => {
            let index = if ty.memory64 { "i64 " } else { "" };
            let shared = if ty.shared { " shared" } else { "" };
            format!("(memory {index}{}{}{shared})", ty.initial, maximum(ty.maximum))
        }
        Kind::Table(ty) => {
            let index = if ty.table64 { "i64 " } else { "" };
            let element = name(ValType::Ref(ty.element_type))?;
            format!("(table {index}{}{} {element})", ty.initial, maximum(ty.maximum))
        }
        Kind::Global(ty) => {
            let content = name(ty.content_type)?;
            if ty.mutable {
                format!("(global (mut {content}))")
            } else {
                format!("(global {content})")
            }
        }
        Kind::Tag => return None,
    })
}

fn maximum(maximum: Option<u64>) -> String {
    maximum.map_or(String::new(), |maximum| format!(" {maximum}"))
}

fn names(types: &[ValType]) -> Option<Vec<String>> {
    types.iter().map(|&ty| name(ty)).collect()
}

fn name(ty: ValType) -> Option<String> {
    let name = match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "v128",
        ValType::Ref(RefType::FUNCREF) => "funcref",
        ValType::Ref(RefType::EXTERNREF) => "externref",
        ValType::Ref(_) => return None,
    };
    Some(name.to_owned())
}
