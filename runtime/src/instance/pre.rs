//! [`InstancePre`]: a module with its imports found and checked, for many instantiations.

use super::externs::Extern;
use super::{Instance, create, link};
use crate::error::Result;
use crate::fallible;
use crate::func::HostFunc;
use crate::module::Module;
use crate::store::{AsContextMut, StoreOpaque};
use std::marker::PhantomData;

/// An import that a linker has found.
#[derive(Clone)]
pub(crate) enum Resolved {
    /// A host function, for any store.
    Host(HostFunc),
    /// Something of one store.
    Extern(Extern),
}

impl Resolved {
    /// The import in `store`; a host function is added to the store.
    pub(crate) fn instantiate(&self, store: &mut StoreOpaque) -> Result<Extern> {
        Ok(match self {
            Resolved::Host(func) => Extern::Func(func.instantiate(store)?),
            Resolved::Extern(value) => value.clone(),
        })
    }
}

/// A module whose imports are found and checked. Made by
/// [`Linker::instantiate_pre`](crate::Linker::instantiate_pre).
pub struct InstancePre<T> {
    module: Module,
    imports: Vec<Resolved>,
    data: PhantomData<fn(T) -> T>,
}

impl<T> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        let (module, imports) = (self.module.clone(), self.imports.clone());
        InstancePre { module, imports, data: PhantomData }
    }
}

impl<T> std::fmt::Debug for InstancePre<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstancePre").field("module", &self.module).finish_non_exhaustive()
    }
}

impl<T: 'static> InstancePre<T> {
    /// Checks everything that does not depend on a store.
    pub(crate) fn new(module: &Module, imports: Vec<Resolved>) -> Result<InstancePre<T>> {
        for (import, resolved) in module.imports().zip(&imports) {
            if let Resolved::Host(func) = resolved {
                let found = crate::types::ExternType::Func(func.ty().clone());
                link::check_type(import.module(), import.name(), import.ty(), &found)?;
            }
        }
        Ok(InstancePre { module: module.clone(), imports, data: PhantomData })
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Instantiates the module in `store`.
    ///
    /// # Errors
    ///
    /// As [`Instance::new`].
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let imports =
            fallible::collect(self.imports.iter().map(|import| import.instantiate(store)))?;
        if self.imports.iter().any(|import| matches!(import, Resolved::Extern(_))) {
            link::check_imports(store, &self.module, &imports)?;
        }
        // SAFETY: the store is borrowed mutably; host functions were checked when this was made,
        // and everything else now.
        unsafe { create::instantiate(store, &self.module, &imports) }
    }
}
