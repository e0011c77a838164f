//! [`Instance`]: an instance of a module in a store.

pub(crate) mod builtins;
mod const_expr;
mod context;
mod create;
mod dropped;
mod externs;
mod init;
mod link;
mod pre;

pub(crate) use const_expr::compute;
pub(crate) use context::InstanceData;
pub use externs::{Export, Extern};
pub use link::LinkError;
pub use pre::InstancePre;
pub(crate) use pre::Resolved;

use crate::entities::{Memory, SharedMemory};
use crate::error::{Error, Result};
use crate::func::{Func, TypedFunc, WasmParams, WasmResults};
use crate::module::Module;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use seqfault_jit::message::Escaped;

/// An instance, in the store that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    store: StoreId,
    index: usize,
}

impl Instance {
    /// Instantiates `module`; `imports` are in the order of [`Module::imports`].
    ///
    /// # Errors
    ///
    /// A [`LinkError`] when an import is not what the module asks for; an error when the store's
    /// limiter refuses or there is no memory, when a segment does not fit, or when the start
    /// function fails. In the last two cases the changes to shared tables and memories stay.
    pub fn new(
        mut store: impl AsContextMut,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        link::check_imports(store, module, imports)?;
        // SAFETY: the store is borrowed mutably, and the imports have been checked.
        unsafe { create::instantiate(store, module, imports) }
    }

    /// The module that this is an instance of.
    pub fn module<'a, C: AsContext + 'a>(&self, store: &'a C) -> &'a Module {
        self.data(store.as_context().opaque()).module()
    }

    /// Its exports, in the order of the module. If there is no memory for the list, the process ends.
    pub fn exports(&self, mut store: impl AsContextMut) -> Vec<Export> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let instance = self.data(store);
        let exports = instance.module().info().exports.iter();
        exports.map(|e| Export::new(&e.name, instance.entity(store, e.entity))).collect()
    }

    /// One export.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        self.data(store).export(store, name)
    }

    /// An exported function.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// An exported memory of this store.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// An exported memory that is shared.
    pub fn get_shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }

    /// An exported function, to be called with Rust types.
    ///
    /// # Errors
    ///
    /// When there is no function of that name, or its type is another.
    pub fn get_typed_func<P: WasmParams, R: WasmResults>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>> {
        let shown = Escaped::name(name);
        let func = self
            .get_func(&mut store, name)
            .ok_or_else(|| Error::msg(format!("no exported function is named `{shown}`")))?;
        let opaque = store.as_context().opaque();
        let typed = match self.data(opaque).exported_type(name) {
            // The engine's list of types has a lock, which all threads share.
            Some(ty) => TypedFunc::new(func, opaque, ty),
            None => func.typed(&store),
        };
        typed.map_err(|error| error.context(format!("exported function `{shown}`")))
    }

    fn data<'a>(&self, store: &'a StoreOpaque) -> &'a InstanceData {
        store.check(self.store);
        store.instance(self.index)
    }
}
