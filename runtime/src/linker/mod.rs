//! [`Linker`]: imports by name.

use crate::engine::Engine;
use crate::entities::Val;
use crate::error::{Error, Result};
use crate::fallible;
use crate::func::{Caller, HostFunc, IntoFunc};
use crate::instance::{Extern, Instance, InstancePre, LinkError, Resolved};
use crate::module::Module;
use crate::store::{AsContext, AsContextMut};
use crate::types::{ExternType, FuncType, ImportType};
use seqfault_jit::message::Escaped;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::marker::PhantomData;
use std::sync::Arc;

/// Definitions by module and name, from which the imports of modules are taken.
///
/// Host functions work in any store with data of type `T`, shared memories in any store of the engine;
/// everything else belongs to one store.
pub struct Linker<T> {
    engine: Engine,
    names: HashMap<Arc<str>, Name>,
    definitions: HashMap<(Name, Name), Resolved>,
    shadowing: bool,
    /// Both takes and returns a `T`, so that linkers for different data never convert into each
    /// other.
    data: PhantomData<fn(T) -> T>,
}

/// A name as a number: each text is stored once.
type Name = usize;

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            names: self.names.clone(),
            definitions: self.definitions.clone(),
            shadowing: self.shadowing,
            data: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linker").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<T: 'static> Linker<T> {
    /// No definitions.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            names: HashMap::new(),
            definitions: HashMap::new(),
            shadowing: false,
            data: PhantomData,
        }
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name may be defined again. Default: no.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Linker<T> {
        self.shadowing = allow;
        self
    }

    /// Defines a host function with the type of a closure.
    ///
    /// # Errors
    ///
    /// When the name is already defined.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Linker<T>> {
        let func = HostFunc::wrap(&self.engine, func);
        self.insert(module, name, Resolved::Host(func))
    }

    /// Defines a host function of any type; see [`Func::new`](crate::Func::new).
    ///
    /// # Errors
    ///
    /// When the name is already defined.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Linker<T>> {
        let func = HostFunc::new(&self.engine, ty, func);
        self.insert(module, name, Resolved::Host(func))
    }

    /// Defines something of a store.
    ///
    /// # Errors
    ///
    /// When the name is already defined.
    ///
    /// # Panics
    ///
    /// When it belongs to another store, or is a shared memory of another engine.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        value: impl Into<Extern>,
    ) -> Result<&mut Linker<T>> {
        let value = value.into();
        value.check(store.as_context().opaque());
        self.insert(module, name, Resolved::Extern(value))
    }

    /// Defines all exports of an instance, under the name `module`.
    ///
    /// # Errors
    ///
    /// When a name is already defined.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Linker<T>> {
        for export in instance.exports(&mut store) {
            let name = export.name().to_owned();
            self.insert(module, &name, Resolved::Extern(export.into_extern()))?;
        }
        Ok(self)
    }

    /// Instantiates `module` and defines its exports under `name`.
    ///
    /// # Errors
    ///
    /// As [`Linker::instantiate`] and [`Linker::instance`].
    pub fn module(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        name: &str,
        module: &Module,
    ) -> Result<&mut Linker<T>> {
        let instance = self.instantiate(&mut store, module)?;
        self.instance(store, name, instance)
    }

    /// Also defines everything of module `module` under the name `as_module`.
    ///
    /// # Errors
    ///
    /// When a name is already defined.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<()> {
        let Some(&from) = self.names.get(module) else { return Ok(()) };
        let to = self.intern(as_module);
        let aliases: Vec<(Name, Resolved)> = self
            .definitions
            .iter()
            .filter(|((module, _), _)| *module == from)
            .map(|((_, name), value)| (*name, value.clone()))
            .collect();
        for (name, value) in aliases {
            self.insert_interned(to, name, value)?;
        }
        Ok(())
    }

    /// Defines every function that `module` imports and that is not defined yet, as a function that
    /// fails with a message.
    ///
    /// # Errors
    ///
    /// When something other than a function is missing.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<()> {
        for import in module.imports() {
            if self.find(import.module(), import.name()).is_some() {
                continue;
            }
            let ExternType::Func(ty) = import.ty() else { return Err(unknown(&import).into()) };
            let error = unknown(&import);
            self.func_new(import.module(), import.name(), ty.clone(), move |_, _, _| {
                Err(error.clone().into())
            })?;
        }
        Ok(())
    }

    /// A definition, in `store`.
    ///
    /// # Panics
    ///
    /// When it is a host function and the process has no room for machine code.
    pub fn get(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
    ) -> Option<Extern> {
        let resolved = self.find(module, name)?;
        let value = resolved.instantiate(store.as_context_mut().opaque());
        Some(value.expect("room for a trampoline"))
    }

    /// Instantiates `module` with the definitions that it asks for.
    ///
    /// # Errors
    ///
    /// A [`LinkError`] when a definition is missing or does not match, and as [`Instance::new`].
    pub fn instantiate(
        &self,
        store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance> {
        self.instantiate_pre(module)?.instantiate(store)
    }

    /// Finds and checks the imports of `module`, for many instantiations.
    ///
    /// # Errors
    ///
    /// A [`LinkError`] when a definition is missing, or is a host function of another type; and when
    /// `module` belongs to another engine.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>> {
        if !Engine::same(&self.engine, module.engine()) {
            return Err(Error::msg("the module belongs to another engine than the linker"));
        }
        let found = module.imports().map(|import| {
            let found = self.find(import.module(), import.name());
            found.cloned().ok_or_else(|| unknown(&import))
        });
        InstancePre::new(module, fallible::collect(found)?)
    }

    fn find(&self, module: &str, name: &str) -> Option<&Resolved> {
        let key = (*self.names.get(module)?, *self.names.get(name)?);
        self.definitions.get(&key)
    }

    fn insert(&mut self, module: &str, name: &str, value: Resolved) -> Result<&mut Linker<T>> {
        let (module, name) = (self.intern(module), self.intern(name));
        self.insert_interned(module, name, value)
    }

    fn insert_interned(
        &mut self,
        module: Name,
        name: Name,
        value: Resolved,
    ) -> Result<&mut Linker<T>> {
        match self.definitions.entry((module, name)) {
            Entry::Occupied(_) if !self.shadowing => {
                let text =
                    |name| self.names.iter().find(|(_, n)| **n == name).map(|(text, _)| text);
                let (module, name) =
                    (text(module).expect("interned"), text(name).expect("interned"));
                let (module, name) = (Escaped::name(module), Escaped::name(name));
                return Err(Error::msg(format!("`{module}::{name}` is defined twice")));
            }
            Entry::Occupied(mut entry) => {
                entry.insert(value);
            }
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
        }
        Ok(self)
    }

    fn intern(&mut self, text: &str) -> Name {
        if let Some(&name) = self.names.get(text) {
            return name;
        }
        let name = self.names.len();
        self.names.insert(text.into(), name);
        name
    }
}

fn unknown(import: &ImportType<'_>) -> LinkError {
    LinkError::UnknownImport {
        module: import.module().to_owned(),
        name: import.name().to_owned(),
        ty: Box::new(import.ty().clone()),
    }
}

/// Linkers for different data do not convert into each other, even where the data types do:
///
/// ```compile_fail
/// use seqfault::Linker;
///
/// fn convert(linker: Linker<for<'a> fn(&'a str)>) -> Linker<fn(&'static str)> {
///     linker
/// }
/// ```
#[cfg(doctest)]
struct LinkersAreInvariant;
