//! [`Module`]: a validated module, ready to be instantiated; its functions are compiled when they
//! are called.

mod code;
mod template;

use crate::config::Compilation;
use crate::engine::{Engine, RegisteredType, TypeId, try_map};
use crate::error::{Error, Result};
use crate::types::{ExportType, ExternType, FuncType, GlobalType, ImportType, TableType, TagType};
use code::ModuleCode;
use seqfault_jit::message::Escaped;
use seqfault_jit::module::{
    BodyValidation, EntityIndex, EntityType, InvalidBody, ModuleInfo, ParsedModule,
    ValidationScratch, function_names, parse,
};
use seqfault_jit::process::OnceValue;
use seqfault_jit::vm::{VMOffsets, VMSlot};
use seqfault_jit::{CompileError, ModuleSource, WasmFeatures};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
pub(crate) use template::InitialMemory;
use template::Template;

/// A WebAssembly module.
///
/// Cheap to clone, shared by threads: all clones, instances and threads use the same code.
#[derive(Clone, Debug)]
pub struct Module(Arc<ModuleInner>);

pub(crate) struct ModuleInner {
    engine: Engine,
    bytes: Box<[u8]>,
    features: WasmFeatures,
    info: ModuleInfo,
    offsets: VMOffsets,
    /// The engine's id of each type, read by compiled code.
    type_ids: Box<[TypeId]>,
    /// The engine's types themselves, kept alive.
    types: Box<[RegisteredType]>,
    exports: HashMap<Box<str>, EntityIndex>,
    code: ModuleCode,
    template: Template,
    names: OnceValue<HashMap<u32, Box<str>>>,
}

impl Drop for ModuleInner {
    fn drop(&mut self) {
        if self.template.retire() {
            self.engine.regions().forget_the_past();
        }
    }
}

impl std::fmt::Debug for ModuleInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl Module {
    /// A module from the binary format, or from the text format with the feature `wat`.
    ///
    /// # Errors
    ///
    /// A [`CompileError`] says what is wrong with the module, and where. With text that does not
    /// parse, the error points into the text.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        Module::from_binary(engine, &to_binary(bytes.as_ref())?)
    }

    /// A module from a file in the binary or the text format.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and as for [`Module::new`].
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let named = |error: Error| error.context(Escaped::name(&path.to_string_lossy()));
        let bytes = std::fs::read(path).map_err(|error| named(error.into()))?;
        Module::new(engine, bytes).map_err(named)
    }

    /// A module from the binary format.
    ///
    /// # Errors
    ///
    /// A [`CompileError`] says what is wrong with the module, and where.
    pub fn from_binary(engine: &Engine, bytes: &[u8]) -> Result<Module> {
        let features = engine.config().features;
        let ParsedModule { info, bodies } = parse(bytes, features)?;
        validate_bodies(engine, &info, bytes, bodies)?;
        let offsets = VMOffsets::new(&info);
        let types = register_types(engine, &info);
        let type_ids = types.iter().map(RegisteredType::id).collect();
        let exports = info.exports.iter().map(|e| (e.name.as_str().into(), e.entity)).collect();
        let module = Module(Arc::new(ModuleInner {
            engine: engine.clone(),
            bytes: bytes.into(),
            features,
            offsets,
            type_ids,
            types,
            exports,
            code: ModuleCode::new(engine, info.bodies.len()),
            template: Template::new(&info),
            names: OnceValue::new(),
            info,
        }));
        match engine.config().compilation {
            Compilation::Lazy => module.0.code.compile_when_called(&module.0)?,
            Compilation::Eager => module.0.code.compile_all(&module.0)?,
        }
        Ok(module)
    }

    /// Checks a module in the binary format without keeping it.
    ///
    /// # Errors
    ///
    /// As [`Module::from_binary`], except errors that appear only when code is generated.
    pub fn validate(engine: &Engine, bytes: &[u8]) -> Result<()> {
        let parsed = parse(bytes, engine.config().features)?;
        validate_bodies(engine, &parsed.info, bytes, parsed.bodies)
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The name in its name section.
    pub fn name(&self) -> Option<&str> {
        self.0.info.name.as_deref()
    }

    /// Its imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        self.0.info.imports.iter().map(|import| {
            ImportType::new(&import.module, &import.name, self.extern_type(import.ty))
        })
    }

    /// Its exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        self.0.info.exports.iter().map(|export| {
            ExportType::new(&export.name, self.extern_type(self.entity_type(export.entity)))
        })
    }

    /// The type of one export.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        Some(self.extern_type(self.entity_type(self.export_index(name)?)))
    }

    /// The name of a function, from the name section, or else from an export or import.
    pub(crate) fn function_name(&self, func: u32) -> Option<&str> {
        let info = &self.0.info;
        let names = self.0.names.get_or_make(|| match &info.name_section {
            Some(range) => function_names(&self.0.bytes, range.clone()),
            None => HashMap::new(),
        });
        names.get(&func).map(|name| &**name).or_else(|| {
            let export = info.exports.iter().find(|e| e.entity == EntityIndex::Function(func))?;
            Some(&export.name)
        })
    }

    /// The offset in the module of a function's body.
    pub(crate) fn body_offset(&self, func: u32) -> Option<u32> {
        let defined = self.0.info.defined_function(func)?;
        u32::try_from(self.0.info.bodies[defined].start).ok()
    }

    pub(crate) fn info(&self) -> &ModuleInfo {
        &self.0.info
    }

    pub(crate) fn offsets(&self) -> &VMOffsets {
        &self.0.offsets
    }

    /// What a memory of the module, by its number among the defined ones, can be made with.
    pub(crate) fn initial_memory(&self, defined: usize) -> Option<InitialMemory<'_>> {
        self.0.template.memory(&self.0.info, &self.0.bytes, defined)
    }

    /// What its instances start with.
    pub(crate) fn template(&self) -> &Template {
        &self.0.template
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    pub(crate) fn type_ids(&self) -> &[TypeId] {
        &self.0.type_ids
    }

    /// One of its types.
    pub(crate) fn registered_type(&self, index: u32) -> &RegisteredType {
        &self.0.types[index as usize]
    }

    pub(crate) fn slots(&self) -> &[VMSlot] {
        self.0.code.slots()
    }

    pub(crate) fn export_index(&self, name: &str) -> Option<EntityIndex> {
        self.0.exports.get(name).copied()
    }

    /// The code of a defined function, compiled now unless it already was.
    pub(crate) fn compile_now(&self, defined: usize) -> Result<*const u8> {
        self.0.code.compile(&self.0, defined)
    }

    /// Whether both are the same module.
    pub(crate) fn is(&self, other: &Module) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many results a defined function has.
    pub(crate) fn defined_results(&self, defined: usize) -> usize {
        let info = &self.0.info;
        let ty = info.functions[info.num_imported_functions + defined];
        info.types.func(ty).results().len()
    }

    /// The module that owns a [`CodeUnit`](seqfault_jit::code::CodeUnit).
    ///
    /// # Safety
    ///
    /// `owner` must be the owner of such a unit, and the module must be alive.
    pub(crate) unsafe fn from_owner(owner: usize) -> Module {
        let inner = owner as *const ModuleInner;
        // SAFETY: `ModuleCode` gives the address of the inner part of a module's `Arc` as the
        // owner, and the module is alive (caller's promise).
        unsafe {
            Arc::increment_strong_count(inner);
            Module(Arc::from_raw(inner))
        }
    }

    pub(crate) fn entity_type(&self, entity: EntityIndex) -> EntityType {
        let info = &self.0.info;
        match entity {
            EntityIndex::Function(i) => EntityType::Function(info.functions[i as usize]),
            EntityIndex::Table(i) => EntityType::Table(info.tables[i as usize].ty),
            EntityIndex::Memory(i) => EntityType::Memory(info.memories[i as usize]),
            EntityIndex::Global(i) => EntityType::Global(info.globals[i as usize]),
            EntityIndex::Tag(i) => EntityType::Tag(info.tags[i as usize]),
        }
    }

    pub(crate) fn extern_type(&self, ty: EntityType) -> ExternType {
        match ty {
            EntityType::Function(ty) => {
                ExternType::Func(FuncType::registered(self.registered_type(ty).clone()))
            }
            EntityType::Table(ty) => {
                ExternType::Table(TableType::from_canonical(&ty, &self.resolver()))
            }
            EntityType::Memory(ty) => ExternType::Memory(ty),
            EntityType::Global(ty) => {
                ExternType::Global(GlobalType::from_canonical(&ty, &self.resolver()))
            }
            EntityType::Tag(ty) => {
                let ty = FuncType::registered(self.registered_type(ty).clone());
                ExternType::Tag(TagType::new(ty))
            }
        }
    }

    /// Finds types by the type indices that the module's own types use.
    pub(crate) fn resolver(&self) -> impl Fn(u32) -> RegisteredType + '_ {
        |index| self.registered_type(index).clone()
    }
}

impl ModuleInner {
    fn source(&self) -> ModuleSource<'_> {
        ModuleSource {
            info: &self.info,
            offsets: &self.offsets,
            bytes: &self.bytes,
            features: self.features,
        }
    }
}

/// The engine's types for the types that a module declares, by index.
fn register_types(engine: &Engine, info: &ModuleInfo) -> Box<[RegisteredType]> {
    let mut types: Vec<RegisteredType> = Vec::with_capacity(info.types.len());
    for indices in info.types.groups() {
        let group = engine.types().intern_group(
            indices.clone().map(|index| &info.types[index]),
            indices.clone(),
            // Validation lets groups refer to earlier ones only.
            |index| types[index as usize].clone(),
        );
        types.extend((0..indices.len() as u32).map(|index| group.get(index)));
    }
    types.into()
}

/// Validates function bodies on all cores.
fn validate_bodies(
    engine: &Engine,
    info: &ModuleInfo,
    bytes: &[u8],
    bodies: Vec<BodyValidation>,
) -> Result<()> {
    const GRAIN: usize = 32;
    // The error for the whole module is determined once, not on each thread.
    let validate = |scratch: &mut ValidationScratch, body: BodyValidation| {
        engine.check_compilation().map_err(Stop::Interrupted)?;
        body.run(info, bytes, scratch).map_err(Stop::Invalid)
    };
    match try_map(bodies, GRAIN, validate) {
        Ok(_) => Ok(()),
        Err(Stop::Invalid(invalid)) => Err(invalid.into_error(bytes).into()),
        Err(Stop::Interrupted(error)) => Err(error.into()),
    }
}

/// Why bodies were not all validated.
enum Stop {
    Invalid(InvalidBody),
    Interrupted(CompileError),
}

/// The binary format of text or binary.
#[cfg(feature = "wat")]
fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    wat::parse_bytes(bytes).map_err(|error| Error::msg(printable(&error.to_string())))
}

/// The mark in an error of the text parser behind which the line of the source stands; under it is
/// another mark, with a line that points into it.
#[cfg(feature = "wat")]
fn printable(error: &str) -> String {
    const MARK: &str = "\n     --> ";
    let Some((message, place)) = error.rsplit_once(MARK) else {
        return Escaped::line(error).to_string();
    };
    let place: Vec<String> = place.lines().map(|line| Escaped::line(line).to_string()).collect();
    format!("{}{MARK}{}", Escaped::line(message), place.join("\n"))
}

#[cfg(not(feature = "wat"))]
fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    Ok(Cow::Borrowed(bytes))
}
