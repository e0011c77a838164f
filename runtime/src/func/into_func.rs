//! Closures as host functions.

use super::host::run;
use super::wasm_ty::each_arity;
use super::{Caller, WasmResults, WasmTy};
use crate::error::{Error, Result};
use crate::types::{FuncType, ValType};
use seqfault_jit::vm::{HostFunction, VMHostContext, ValRaw};
use std::any::Any;

/// A closure that can be a host function: up to twelve parameters of [`WasmTy`], with or without a
/// [`Caller`] first, returning a [`WasmRet`].
///
/// `Params` and `Results` only tell implementations apart.
///
/// # Safety
/// # Safety
///
/// The function that `into_parts` returns must read arguments and write results of the type that it
/// returns, and use the closure that it returns. Only this crate can satisfy this.
pub unsafe trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_parts(self) -> (FuncType, HostFunction, Box<dyn Any + Send + Sync>);
}

/// What a host function may return: nothing, a [`WasmTy`], a tuple of them, or a `Result` of one of
/// those with an error that converts to [`Error`].
pub trait WasmRet {
    #[doc(hidden)]
    type Ok: WasmResults;
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Ok>;
}

impl<R: WasmResults> WasmRet for R {
    type Ok = R;
    #[inline]
    fn into_result(self) -> Result<R> {
        Ok(self)
    }
}

impl<R: WasmResults, E: Into<Error>> WasmRet for Result<R, E> {
    type Ok = R;
    #[inline]
    fn into_result(self) -> Result<R> {
        self.map_err(Into::into)
    }
}

fn func_type<R: WasmRet>(params: &[ValType]) -> FuncType {
    FuncType::new(params.iter().cloned(), R::Ok::TYPES.iter().cloned())
}

macro_rules! closures {
    ($($name:ident)*) => {
        // SAFETY: `call` reads each parameter of the type, and `WasmRet` writes its results.
        unsafe impl<T: 'static, Fun, R, $($name),*> IntoFunc<T, (Caller<'_, T>, $($name,)*), R> for Fun
        where
            Fun: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
            R: WasmRet,
            $($name: WasmTy,)*
        {
            fn into_parts(self) -> (FuncType, HostFunction, Box<dyn Any + Send + Sync>) {
                /// The function that the exit trampoline calls.
                #[allow(non_snake_case, unused, reason = "generated for each number of parameters")]
                unsafe extern "C" fn call<T, Fun, R, $($name),*>(
                    context: *mut VMHostContext,
                    values: *mut ValRaw,
                ) -> u32
                where
                    T: 'static,
                    Fun: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
                    R: WasmRet,
                    $($name: WasmTy,)*
                {
                    let body = |mut caller: Caller<'_, T>, closure: &Fun| {
                        let store: *mut _ = caller.store.opaque();
                        let mut at = values.cast_const();
                        $(
                            // SAFETY: the trampoline has put the arguments there; the caller's
                            // store is alive.
                            let $name = unsafe {
                                let value = $name::load(&mut *store, &*at);
                                at = at.add(1);
                                value
                            };
                        )*
                        let results = closure(caller, $($name),*).into_result()?;
                        // SAFETY: the store is alive, and the closure's borrow has ended; the
                        // trampoline's array has room for the results.
                        unsafe { results.store_results(&*store, values) }
                    };
                    // SAFETY: the exit trampoline passes the context of a function made by
                    // `HostFunc::wrap` with these types.
                    unsafe { run(context, body) }
                }
                let ty = func_type::<R>(&[$($name::TYPE),*]);
                (ty, call::<T, Fun, R, $($name),*>, Box::new(self))
            }
        }

        // SAFETY: it delegates to the implementation above.
        unsafe impl<T: 'static, Fun, R, $($name),*> IntoFunc<T, ($($name,)*), R> for Fun
        where
            Fun: Fn($($name),*) -> R + Send + Sync + 'static,
            R: WasmRet,
            $($name: WasmTy,)*
        {
            #[allow(non_snake_case, reason = "generated for each number of parameters")]
            fn into_parts(self) -> (FuncType, HostFunction, Box<dyn Any + Send + Sync>) {
                let with_caller = move |_: Caller<'_, T>, $($name: $name),*| self($($name),*);
                IntoFunc::<T, (Caller<'_, T>, $($name,)*), R>::into_parts(with_caller)
            }
        }
    };
}

each_arity!(closures);
