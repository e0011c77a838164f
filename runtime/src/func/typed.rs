//! [`TypedFunc`]: a function whose type was checked once.

use super::{Func, WasmParams, WasmResults};
use crate::engine::RegisteredType;
use crate::error::{Error, Result};
use crate::store::{AsContextMut, StoreOpaque};
use crate::types::{FuncType, ValType};
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
    /// `registered` is the function's type. Allocates nothing, unless types that modules define are among its parts.
    pub(crate) fn new(
        func: Func,
        store: &StoreOpaque,
        registered: &RegisteredType,
    ) -> Result<Self> {
        let ty = registered.ty().as_func().expect("the type of a function");
        let part = |&part| ValType::from_canonical(part, &|id| registered.resolve(id));
        let (params, results) = (ty.params().iter().map(part), ty.results().iter().map(part));
        let fits = Params::TYPES.len() == params.len()
            && Results::TYPES.len() == results.len()
            && Params::TYPES.iter().zip(params).all(|(asked, param)| asked.matches(&param))
            && results.zip(Results::TYPES).all(|(result, asked)| result.matches(asked));
        if !fits {
            let ty = FuncType::registered(registered.clone());
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
