//! Telling malformed modules (the binary format is violated) from invalid ones.
//!
//! The parser has one kind of error for both. The difference matters to people (a damaged file
//! against a wrong program) and to the specification's tests, so after an error the module is read
//! once more without being validated: what cannot even be read is malformed.

use crate::error::CompileError;
use wasmparser::{Parser, Payload, WasmFeatures};

/// The error that `error`, which stopped validation, stands for.
pub(super) fn classify(
    bytes: &[u8],
    features: WasmFeatures,
    error: &wasmparser::Error,
) -> CompileError {
    match read_all(bytes, features) {
        Err(syntax) => CompileError::Malformed {
            message: syntax.message().to_owned(),
            offset: syntax.offset() as usize,
        },
        Ok(()) => CompileError::Invalid {
            message: error.message().to_owned(),
            offset: error.offset() as usize,
        },
    }
}

/// Reads every item of every section.
fn read_all(bytes: &[u8], features: WasmFeatures) -> Result<(), wasmparser::Error> {
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(bytes) {
        read_payload(payload?)?;
    }
    Ok(())
}

fn read_payload(payload: Payload<'_>) -> Result<(), wasmparser::Error> {
    match payload {
        Payload::TypeSection(section) => read_items(section),
        Payload::ImportSection(section) => read_items(section),
        Payload::FunctionSection(section) => read_items(section),
        Payload::TableSection(section) => read_items(section),
        Payload::MemorySection(section) => read_items(section),
        Payload::TagSection(section) => read_items(section),
        Payload::GlobalSection(section) => read_items(section),
        Payload::ExportSection(section) => read_items(section),
        Payload::ElementSection(section) => section.into_iter().try_for_each(|element| {
            match element?.items {
                wasmparser::ElementItems::Functions(items) => read_items(items),
                wasmparser::ElementItems::Expressions(_, items) => read_items(items),
            }
        }),
        Payload::DataSection(section) => read_items(section),
        Payload::CodeSectionEntry(body) => {
            for local in body.get_locals_reader()? {
                local?;
            }
            let mut operators = body.get_operators_reader()?;
            while !operators.eof() {
                operators.read()?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn read_items<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
) -> Result<(), wasmparser::Error> {
    section.into_iter().try_for_each(|item| item.map(drop))
}
