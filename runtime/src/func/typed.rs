//! [`TypedFunc`]: a function whose type was checked once.

use super::{Func, WasmParams, WasmResults};
use crate::error::{Error, Result};
use crate::store::{AsContextMut, StoreOpaque};
use crate::types::{FuncType, all_match};
use crate::vm;
use seqfault_jit::message::Escaped;
use seqfault_jit::vm::{EntryTrampoline, ValRaw};
use std::marker::PhantomData;

/// A function to be called with Rust types. Made by [`Func::typed`].
#[derive(Debug)]
pub struct TypedFunc<Params, Results> {
    func: Func,
    entry: EntryTrampoline,
    types: PhantomData<fn(Params) -> Results>,
}

impl<Params, Results> Clone for TypedFunc<Params, Results> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Params, Results> Copy for TypedFunc<Params, Results> {}

/// The most values that a tuple can have.
const MAX_VALUES: usize = 12;

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    pub(super) fn new(func: Func, store: &StoreOpaque) -> Result<Self> {
        let registered = store.engine().types().get(func.type_id(store));
        let ty = FuncType::registered(registered.clone());
        if !all_match(Params::TYPES, ty.params()) || !all_match(ty.results(), Results::TYPES) {
            let asked =
                FuncType::new(Params::TYPES.iter().cloned(), Results::TYPES.iter().cloned());
            let (ty, asked) = (ty.to_string(), asked.to_string());
            let (ty, asked) = (Escaped::name(&ty), Escaped::name(&asked));
            return Err(Error::msg(format!("type mismatch: the function is {ty}, not {asked}")));
        }
        let entry = registered.entry(store.engine())?;
        Ok(TypedFunc { func, entry, types: PhantomData })
    }

    /// The function, without its Rust types.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls it.
    ///
    /// # Errors
    ///
    /// When the call ends in a [`Trap`](crate::Trap) or in an error of a host function.
    pub fn call(&self, mut store: impl AsContextMut, params: Params) -> Result<Results> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let func_ref = self.func.raw(store);
        let mut values = [ValRaw { v128: 0 }; MAX_VALUES];
        params.store_all(store, &mut values)?;
        // SAFETY: the function belongs to the store, which is borrowed mutably; its type was
        // checked when this was made, and there is room for twelve values.
        unsafe {
            vm::enter(store, self.entry, func_ref, values.as_mut_ptr())?;
            Ok(Results::load_all(store, &values))
        }
    }
}
