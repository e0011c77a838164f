//! [`Func`]: a function of wasm or of the host.

mod caller;
mod host;
mod into_func;
mod typed;
mod wasm_ty;

pub use caller::Caller;
pub(crate) use host::{HostFunc, HostFuncInstance};
pub use into_func::{IntoFunc, WasmRet};
pub use typed::TypedFunc;
pub use wasm_ty::{WasmParams, WasmResults, WasmTy};

use crate::engine::TypeId;
use crate::entities::Val;
use crate::error::{Error, Result};
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::FuncType;
use crate::vm;
use seqfault_jit::vm::{VMFuncRef, ValRaw};
use smallvec::SmallVec;
use std::ptr::NonNull;

/// A function, in the store that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Func {
    store: StoreId,
    func_ref: NonNull<VMFuncRef>,
}

// SAFETY: the pointer is used only together with the store that owns what it leads to.
unsafe impl Send for Func {}
// SAFETY: as above.
unsafe impl Sync for Func {}

impl Func {
    /// A host function of any type. It gets its arguments in one slice and writes its results,
    /// which start as zeros, to the other.
    ///
    /// # Panics
    ///
    /// When the process has no room for machine code, or `ty` has more than 1,000 parameters or
    /// results.
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Func {
        let mut store = store.as_context_mut();
        let host = HostFunc::new(store.engine(), ty, func);
        host.instantiate(store.opaque()).expect("room for a trampoline")
    }

    /// A host function with the type of a closure.
    ///
    /// # Panics
    ///
    /// When the process has no room for machine code.
    pub fn wrap<T: 'static, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Func {
        let mut store = store.as_context_mut();
        let host = HostFunc::wrap(store.engine(), func);
        host.instantiate(store.opaque()).expect("room for a trampoline")
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let store = store.as_context().opaque();
        self.func_type(store)
    }

    /// Calls it.
    ///
    /// # Errors
    ///
    /// When the arguments or the number of results do not match its type; when the call ends in a
    /// [`Trap`](crate::Trap) or in an error of a host function.
    pub fn call(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let engine = store.engine().clone();
        let registered = engine.types().get(self.type_id(store));
        let ty = FuncType::registered(registered.clone());
        check_call(store, &ty, params, results.len())?;

        let count = params.len().max(results.len());
        let mut values: SmallVec<[ValRaw; 16]> = SmallVec::with_capacity(count);
        values.extend(params.iter().map(|param| param.to_raw(store)));
        values.resize(count, ValRaw { v128: 0 });
        let entry = registered.entry(&engine)?;
        // SAFETY: the function belongs to the store, which is borrowed mutably; the trampoline is
        // that of its type, and there is room for arguments and results.
        unsafe { vm::enter(store, entry, self.func_ref.as_ptr(), values.as_mut_ptr())? };
        for ((result, ty), &raw) in results.iter_mut().zip(ty.results()).zip(&values) {
            // SAFETY: the trampoline has left a value of that type.
            *result = unsafe { Val::from_raw(store, raw, ty) };
        }
        Ok(())
    }

    /// The same function, to be called with Rust types.
    ///
    /// # Errors
    ///
    /// When its type is another.
    pub fn typed<Params, Results>(
        &self,
        store: impl AsContext,
    ) -> Result<TypedFunc<Params, Results>>
    where
        Params: WasmParams,
        Results: WasmResults,
    {
        let store = store.as_context().opaque();
        let registered = store.engine().types().get(self.type_id(store));
        TypedFunc::new(*self, store, &registered)
    }

    /// # Safety
    ///
    /// `func_ref` must be null or a function of the store.
    pub(crate) unsafe fn from_raw(store: &StoreOpaque, func_ref: *mut VMFuncRef) -> Option<Func> {
        Some(Func { store: store.id(), func_ref: NonNull::new(func_ref)? })
    }

    /// The pointer that identifies the function in compiled code.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub(crate) fn raw(&self, store: &StoreOpaque) -> *mut VMFuncRef {
        store.check(self.store);
        self.func_ref.as_ptr()
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn type_id(&self, store: &StoreOpaque) -> TypeId {
        store.check(self.store);
        // SAFETY: the store owns what the pointer leads to.
        TypeId(unsafe { self.func_ref.as_ref() }.type_id)
    }

    pub(crate) fn func_type(&self, store: &StoreOpaque) -> FuncType {
        FuncType::registered(store.engine().types().get(self.type_id(store)))
    }
}

fn check_call(store: &StoreOpaque, ty: &FuncType, params: &[Val], results: usize) -> Result<()> {
    if params.len() != ty.params().len() {
        let (expected, found) = (ty.params().len(), params.len());
        return Err(Error::msg(format!("expected {expected} arguments, found {found}")));
    }
    if results != ty.results().len() {
        let expected = ty.results().len();
        return Err(Error::msg(format!("expected room for {expected} results, found {results}")));
    }
    for (index, (param, ty)) in params.iter().zip(ty.params()).enumerate() {
        param.check(store, ty).map_err(|error| error.context(format!("argument {index}")))?;
    }
    Ok(())
}
