//! Parsing and validating a module's sections.
//!
//! One pass over the payloads feeds the validator and fills a [`ModuleInfo`]. Function bodies are
//! only located. Validating them is most of the work, so they are returned as independent pieces
//! ([`BodyValidation`]), which the caller may run on many threads.

use super::convert;
use super::hints::BranchHints;
use super::info::{
    DataMode, DataSegment, ElementItems, ElementMode, ElementSegment, EntityIndex, EntityType,
    Export, Import, ModuleInfo, TableInfo,
};
use super::malformed::classify;
use crate::error::CompileError;
use crate::translate;
use crate::types::RefType;
use std::ops::Range;
use wasmparser::{
    ElementKind, ExternalKind, FuncToValidate, FuncValidatorAllocations, FunctionBody, KnownCustom,
    Name, Parser, Payload, TableInit, TypeRef, ValidPayload, Validator, ValidatorResources,
    WasmFeatures,
};

/// A module whose sections are valid and whose bodies are still to be checked.
#[derive(Debug)]
pub struct ParsedModule {
    /// What it declares.
    pub info: ModuleInfo,
    /// One piece of work for each function body; all must succeed before any code is compiled.
    pub bodies: Vec<BodyValidation>,
}

/// The validation of one function body.
pub struct BodyValidation {
    func: FuncToValidate<ValidatorResources>,
    range: Range<usize>,
}

impl std::fmt::Debug for BodyValidation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyValidation").field("range", &self.range).finish_non_exhaustive()
    }
}

/// Memory that validations on one thread reuse, one after the other.
#[derive(Default)]
pub struct ValidationScratch(FuncValidatorAllocations);

impl std::fmt::Debug for ValidationScratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValidationScratch")
    }
}

/// Why a body was refused.
#[derive(Debug)]
pub enum InvalidBody {
    /// It is not valid with these features.
    Invalid(wasmparser::Error, WasmFeatures),
    /// It is valid, but compiling it would take too long.
    TooMuch(CompileError),
}

impl InvalidBody {
    /// The error for the module `bytes`, which is read once more for it.
    pub fn into_error(self, bytes: &[u8]) -> CompileError {
        match self {
            InvalidBody::Invalid(error, features) => classify(bytes, features, &error),
            InvalidBody::TooMuch(error) => error,
        }
    }
}

impl BodyValidation {
    /// The validation of `body`.
    pub(super) fn new(
        func: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> BodyValidation {
        BodyValidation { func, range: to_usize(body.range()) }
    }

    /// Validates the body of a function of the module `info`; `bytes` is the whole module, as it
    /// was given to [`parse`].
    ///
    /// # Errors
    ///
    /// When the body is not valid, or would take too long to compile.
    pub fn run(
        &self,
        info: &ModuleInfo,
        bytes: &[u8],
        scratch: &mut ValidationScratch,
    ) -> Result<(), InvalidBody> {
        let FuncToValidate { index, features, .. } = self.func;
        self.check_with(features, bytes, scratch)?;
        let body = function_body(bytes, self.range.clone(), features);
        translate::check(info, index, &body).map_err(InvalidBody::TooMuch)
    }

    /// Validates with these features, with which the sections must be valid.
    pub(super) fn check_with(
        &self,
        features: WasmFeatures,
        bytes: &[u8],
        scratch: &mut ValidationScratch,
    ) -> Result<(), InvalidBody> {
        let FuncToValidate { ref resources, index, ty, .. } = self.func;
        let func = FuncToValidate { resources: resources.clone(), index, ty, features };
        let body = function_body(bytes, self.range.clone(), features);
        let mut validator = func.into_validator(std::mem::take(&mut scratch.0));
        let result = validator.validate(&body);
        scratch.0 = validator.into_allocations();
        result.map_err(|error| InvalidBody::Invalid(error, features))
    }
}

/// The body at `range` of a module.
pub(crate) fn function_body(
    bytes: &[u8],
    range: Range<usize>,
    features: WasmFeatures,
) -> FunctionBody<'_> {
    let start = range.start as u64;
    FunctionBody::new(wasmparser::BinaryReader::new_features(&bytes[range], start, features))
}

/// Parses a module in the binary format and validates everything except its function bodies.
pub fn parse(bytes: &[u8], features: WasmFeatures) -> Result<ParsedModule, CompileError> {
    let mut sections =
        Sections { info: ModuleInfo::default(), bodies: Vec::new(), escaped: Vec::new() };
    sections.read(bytes, features).map_err(|stop| match stop {
        Stop::Parser(error) => classify(bytes, features, &error),
        Stop::Compile(error) => error,
    })?;
    let Sections { mut info, bodies, mut escaped } = sections;
    escaped.sort_unstable();
    escaped.dedup();
    info.escaped_functions = escaped;
    Ok(ParsedModule { info, bodies })
}

/// Why reading stopped. The parser's error does not tell yet whether the module is malformed or
/// invalid.
enum Stop {
    Parser(wasmparser::Error),
    Compile(CompileError),
}

impl From<wasmparser::Error> for Stop {
    fn from(error: wasmparser::Error) -> Stop {
        Stop::Parser(error)
    }
}

impl From<CompileError> for Stop {
    fn from(error: CompileError) -> Stop {
        Stop::Compile(error)
    }
}

/// What has been read so far.
struct Sections {
    info: ModuleInfo,
    bodies: Vec<BodyValidation>,
    escaped: Vec<u32>,
}

impl Sections {
    fn read(&mut self, bytes: &[u8], features: WasmFeatures) -> Result<(), Stop> {
        let mut validator = Validator::new_with_features(features);
        let mut parser = Parser::new(0);
        parser.set_features(features);
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            if let ValidPayload::Func(func, body) = validator.payload(&payload)? {
                let body = BodyValidation::new(func, &body);
                self.info.bodies.push(body.range.clone());
                self.bodies.push(body);
            }
            self.section(payload)?;
        }
        Ok(())
    }

    /// Takes over one validated section.
    fn section(&mut self, payload: Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types {
                    self.info.types.push_group(group?)?;
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.import(import?)?;
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.info.functions.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.table(table?)?;
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.info.memories.push(convert::memory_type(&memory?)?);
                }
            }
            Payload::TagSection(tags) => {
                for tag in tags {
                    self.info.tags.push(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    self.info.globals.push(convert::global_type(&self.info.types, &global.ty)?);
                    let init = convert::const_expr(&global.init_expr, &mut self.escaped)?;
                    self.info.global_inits.push(init);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    self.export(export?)?;
                }
            }
            Payload::StartSection { func, .. } => self.info.start = Some(func),
            Payload::ElementSection(elements) => {
                for element in elements {
                    self.element(element?)?;
                }
            }
            Payload::DataSection(data) => {
                for segment in data {
                    self.data(segment?)?;
                }
            }
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(names) => {
                    self.info.name_section = Some(to_usize(section.data_range()));
                    self.info.name = module_name(names);
                }
                KnownCustom::BranchHints(hints) => {
                    self.info.branch_hints = BranchHints::read(hints);
                }
                _ => {}
            },
            // Checked by the validator; nothing to keep.
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'_>) -> Result<(), Stop> {
        let info = &mut self.info;
        let ty = match import.ty {
            TypeRef::Func(ty) => {
                info.functions.push(ty);
                info.num_imported_functions += 1;
                EntityType::Function(ty)
            }
            TypeRef::Table(ty) => {
                let ty = convert::table_type(&info.types, &ty)?;
                info.tables.push(TableInfo { ty, init: None });
                info.num_imported_tables += 1;
                EntityType::Table(ty)
            }
            TypeRef::Memory(ty) => {
                let ty = convert::memory_type(&ty)?;
                info.memories.push(ty);
                info.num_imported_memories += 1;
                EntityType::Memory(ty)
            }
            TypeRef::Global(ty) => {
                let ty = convert::global_type(&info.types, &ty)?;
                info.globals.push(ty);
                info.num_imported_globals += 1;
                EntityType::Global(ty)
            }
            TypeRef::Tag(ty) => {
                info.tags.push(ty.func_type_idx);
                info.num_imported_tags += 1;
                EntityType::Tag(ty.func_type_idx)
            }
            TypeRef::FuncExact(_) => {
                return Err(CompileError::Unsupported("exact function imports".into()).into());
            }
        };
        let (module, name) = (import.module.to_owned(), import.name.to_owned());
        info.imports.push(Import { module, name, ty });
        Ok(())
    }

    fn table(&mut self, table: wasmparser::Table<'_>) -> Result<(), Stop> {
        let ty = convert::table_type(&self.info.types, &table.ty)?;
        let init = match table.init {
            TableInit::RefNull => None,
            TableInit::Expr(init) => Some(convert::const_expr(&init, &mut self.escaped)?),
        };
        self.info.tables.push(TableInfo { ty, init });
        Ok(())
    }

    fn export(&mut self, export: wasmparser::Export<'_>) -> Result<(), Stop> {
        let entity = match export.kind {
            ExternalKind::Func => {
                self.escaped.push(export.index);
                EntityIndex::Function(export.index)
            }
            ExternalKind::Table => EntityIndex::Table(export.index),
            ExternalKind::Memory => EntityIndex::Memory(export.index),
            ExternalKind::Global => EntityIndex::Global(export.index),
            ExternalKind::Tag => EntityIndex::Tag(export.index),
            ExternalKind::FuncExact => {
                return Err(CompileError::Unsupported("exact function exports".into()).into());
            }
        };
        self.info.exports.push(Export { name: export.name.to_owned(), entity });
        Ok(())
    }

    fn element(&mut self, element: wasmparser::Element<'_>) -> Result<(), Stop> {
        let mode = match element.kind {
            ElementKind::Passive => ElementMode::Passive,
            ElementKind::Declared => ElementMode::Declared,
            ElementKind::Active { table_index, offset_expr } => ElementMode::Active {
                table: table_index.unwrap_or(0),
                offset: convert::const_expr(&offset_expr, &mut self.escaped)?,
            },
        };
        let (ty, items) = match element.items {
            wasmparser::ElementItems::Functions(functions) => {
                let functions = functions.into_iter().collect::<Result<Box<[u32]>, _>>()?;
                self.escaped.extend_from_slice(&functions);
                (RefType::FUNCREF, ElementItems::Functions(functions))
            }
            wasmparser::ElementItems::Expressions(ty, expressions) => {
                let mut items = Vec::with_capacity(expressions.count() as usize);
                for expression in expressions {
                    items.push(convert::const_expr(&expression?, &mut self.escaped)?);
                }
                (convert::ref_type(&self.info.types, ty)?, ElementItems::Expressions(items.into()))
            }
        };
        self.info.elements.push(ElementSegment { mode, ty, items });
        Ok(())
    }

    fn data(&mut self, segment: wasmparser::Data<'_>) -> Result<(), Stop> {
        let mode = match segment.kind {
            wasmparser::DataKind::Passive => DataMode::Passive,
            wasmparser::DataKind::Active { memory_index, offset_expr } => DataMode::Active {
                memory: memory_index,
                offset: convert::const_expr(&offset_expr, &mut self.escaped)?,
            },
        };
        // The range of a segment ends with its contents.
        let end = segment.range.end as usize;
        self.info.data.push(DataSegment { mode, range: end - segment.data.len()..end });
        Ok(())
    }
}

/// The module's own name. An error in the name section is ignored, since the section has only
/// names.
fn module_name(names: wasmparser::NameSectionReader<'_>) -> Option<String> {
    names.into_iter().map_while(Result::ok).find_map(|name| match name {
        Name::Module { name, .. } => Some(name.to_owned()),
        _ => None,
    })
}

/// A range within bytes that are in memory.
fn to_usize(range: Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}
