//! What generated modules may import, as a module in the text format that imports all of it: the
//! form in which the generator wants to be told.

use super::Module;
use super::exports::Kind;
use super::rewrite::FUEL;
use crate::host;
use seqfault::Feature;
use std::fmt::Write;
use wasmparser::{Parser, Payload, TypeRef, ValType};

/// What a module may import.
pub(super) struct Offer {
    /// A module that imports all of it.
    pub(super) wasm: Vec<u8>,
    /// How many functions are among it.
    pub(super) funcs: usize,
    /// How many globals.
    pub(super) globals: usize,
    /// How many types it takes to write it down.
    pub(super) types: usize,
}

/// Everything that the host and `earlier` modules have on offer, as far as its type can be written
/// down without naming others, and the features suffice.
pub(super) fn available(features: &[Feature], earlier: &[Module]) -> Offer {
    let mut text = String::from("(module\n");
    for function in host::FUNCTIONS {
        if function.needs.iter().all(|need| features.contains(need)) {
            let ty = func(&host_names(function.params), &host_names(function.results));
            import(&mut text, host::MODULE, function.name, &ty);
        }
    }
    if features.contains(&Feature::Exceptions) {
        let (name, fields) = host::TAG;
        let ty = format!("(tag (param {}))", host_names(fields).join(" "));
        import(&mut text, host::MODULE, name, &ty);
    }
    for module in earlier {
        // Whoever has the fuel can make others run for as long as they like.
        for export in module.exports.iter().filter(|export| export.name != FUEL) {
            if let Some(ty) = entity(&export.kind) {
                import(&mut text, module.name, &export.name, &ty);
            }
        }
    }
    text.push(')');
    let wasm = wat::parse_str(&text).expect("imports of types that were written by this file");
    count(wasm).expect("it was just written")
}

fn count(wasm: Vec<u8>) -> wasmparser::Result<Offer> {
    let (mut funcs, mut globals, mut types) = (0, 0, 0);
    for section in Parser::new(0).parse_all(&wasm) {
        match section? {
            Payload::TypeSection(section) => types = section.count() as usize,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) => funcs += 1,
                        TypeRef::Global(_) => globals += 1,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Offer { wasm, funcs, globals, types })
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

fn host_names(types: &[host::Type]) -> Vec<String> {
    types.iter().map(|ty| ty.name().to_owned()).collect()
}

fn maximum(maximum: Option<u64>) -> String {
    maximum.map_or(String::new(), |maximum| format!(" {maximum}"))
}

fn names(types: &[ValType]) -> Option<Vec<String>> {
    types.iter().map(|&ty| name(ty)).collect()
}

/// The name of a type, unless it is or leads to one that a module defines.
fn name(ty: ValType) -> Option<String> {
    match ty {
        ValType::Ref(ty) if ty.type_index().is_some() => None,
        ty => Some(ty.to_string()),
    }
}
