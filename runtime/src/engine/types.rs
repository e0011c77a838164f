//! Canonical function types: equal types have equal ids within an engine.
//!
//! `call_indirect` compares ids. With each type go its two trampolines, compiled when first
//! needed. Types stay until the engine goes.

use super::{CompileOnce, Engine};
use crate::error::Result;
use seqfault_jit::code::{PublishedUnit, UnitBuilder};
use seqfault_jit::types::FuncType;
use seqfault_jit::vm::EntryTrampoline;
use seqfault_jit::{CompileError, CompileScratch, CompiledFunction};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The id of a function type within its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct TypeId(pub(crate) u32);

/// The function types that an engine knows.
#[derive(Debug, Default)]
pub(crate) struct TypeRegistry {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    ids: HashMap<FuncType, TypeId>,
    types: Vec<Arc<RegisteredType>>,
}

/// One type and its trampolines.
#[derive(Debug)]
pub(crate) struct RegisteredType {
    ty: FuncType,
    entry: CompileOnce,
    exit: CompileOnce,
}

impl TypeRegistry {
    /// The id of `ty`, a new one if it is not known yet.
    pub(crate) fn intern(&self, ty: &FuncType) -> TypeId {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = inner.ids.get(ty) {
            return id;
        }
        drop(inner);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = inner.ids.get(ty) {
            return id;
        }
        let id = TypeId(u32::try_from(inner.types.len()).expect("fewer than 2^32 types"));
        let (entry, exit) = Default::default();
        inner.types.push(Arc::new(RegisteredType { ty: ty.clone(), entry, exit }));
        inner.ids.insert(ty.clone(), id);
        id
    }

    /// The type with this id.
    pub(crate) fn get(&self, id: TypeId) -> Arc<RegisteredType> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&inner.types[id.0 as usize])
    }
}

impl RegisteredType {
    /// The type itself.
    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// The way from the host into functions of this type.
    pub(crate) fn entry(&self, engine: &Engine) -> Result<EntryTrampoline> {
        let code = self.entry.get(|| {
            publish(engine, |scratch| engine.compiler().compile_entry(scratch, &self.ty))
        })?;
        // SAFETY: that is what `compile_entry` makes; the code stays as long as the engine, which
        // every store keeps alive.
        Ok(unsafe { std::mem::transmute::<*const u8, EntryTrampoline>(code) })
    }

    /// The code that host functions of this type start with.
    pub(crate) fn exit(&self, engine: &Engine) -> Result<*const u8> {
        let code = self
            .exit
            .get(|| publish(engine, |scratch| engine.compiler().compile_exit(scratch, &self.ty)))?;
        Ok(code)
    }
}

/// Publishes a trampoline.
fn publish(
    engine: &Engine,
    compile: impl FnOnce(&mut CompileScratch) -> Result<CompiledFunction, CompileError>,
) -> Result<PublishedUnit, CompileError> {
    let mut unit = UnitBuilder::new();
    unit.push(None, engine.with_scratch(compile)?);
    unit.publish(0)
}
