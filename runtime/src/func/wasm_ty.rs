//! Rust types that stand for wasm types, alone and in tuples.

use super::Func;
use crate::entities::Val;
use crate::error::Result;
use crate::gc::{AnyRef, ArrayRef, EqRef, ExnRef, ExternRef, Rooted, StructRef};
use crate::store::StoreOpaque;
use crate::types::{HeapType, RefType, ValType};
use seqfault_jit::vm::ValRaw;

/// A Rust type that stands for one wasm type.
///
/// Implemented for `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, `u128` (as `v128`), `Option<Func>` and
/// `Option<Rooted<R>>` of each kind `R` of references.
pub trait WasmTy: Copy + Send + private::Sealed {
    #[doc(hidden)]
    const TYPE: ValType;
    #[doc(hidden)]
    fn store(self, store: &StoreOpaque, slot: &mut ValRaw) -> Result<()>;
    /// The value that `raw`, which holds one of this type, stands for.
    #[doc(hidden)]
    unsafe fn load(store: &mut StoreOpaque, raw: &ValRaw) -> Self;
}

mod private {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for u32 {}
    impl Sealed for i64 {}
    impl Sealed for u64 {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for u128 {}
    impl Sealed for Option<super::Func> {}
    impl<T: crate::gc::GcRef> Sealed for Option<crate::gc::Rooted<T>> {}
}

macro_rules! plain {
    ($($ty:ty: $wasm:ident, $field:ident, |$in:ident| $to:expr, |$out:ident| $from:expr;)*) => {
        $(
            impl WasmTy for $ty {
                const TYPE: ValType = ValType::$wasm;
                #[inline]
                fn store(self, _: &StoreOpaque, slot: &mut ValRaw) -> Result<()> {
                    let $in = self;
                    slot.$field = $to;
                    Ok(())
                }
                #[inline]
                unsafe fn load(_: &mut StoreOpaque, raw: &ValRaw) -> Self {
                    // SAFETY: the slot holds a value of this type (caller's promise).
                    let $out = unsafe { raw.$field };
                    $from
                }
            }
        )*
    };
}

plain! {
    i32: I32, i32, |x| x, |x| x;
    u32: I32, i32, |x| x as i32, |x| x as u32;
    i64: I64, i64, |x| x, |x| x;
    u64: I64, i64, |x| x as i64, |x| x as u64;
    f32: F32, f32, |x| x.to_bits(), |x| f32::from_bits(x);
    f64: F64, f64, |x| x.to_bits(), |x| f64::from_bits(x);
    u128: V128, v128, |x| x.to_le(), |x| u128::from_le(x);
}

impl WasmTy for Option<Func> {
    const TYPE: ValType = ValType::FUNCREF;
    fn store(self, store: &StoreOpaque, slot: &mut ValRaw) -> Result<()> {
        *slot = Val::FuncRef(self).to_raw(store);
        Ok(())
    }
    unsafe fn load(store: &mut StoreOpaque, raw: &ValRaw) -> Self {
        // SAFETY: the slot holds a function of the store or null (caller's promise).
        unsafe { Func::from_raw(store, raw.func_ref.cast_mut()) }
    }
}

macro_rules! references {
    ($($ty:ident: $heap:ident;)*) => {
        $(
            impl WasmTy for Option<Rooted<$ty>> {
                const TYPE: ValType = ValType::Ref(RefType::new(true, HeapType::$heap));
                fn store(self, store: &StoreOpaque, slot: &mut ValRaw) -> Result<()> {
                    let reference = match self {
                        Some(value) => value.raw(store)?,
                        None => 0,
                    };
                    *slot = ValRaw { v128: u128::from(reference).to_le() };
                    Ok(())
                }
                unsafe fn load(store: &mut StoreOpaque, raw: &ValRaw) -> Self {
                    // SAFETY: the slot holds a reference of the store (caller's promise).
                    Rooted::from_raw(store, unsafe { raw.i32 } as u32)
                }
            }
        )*
    };
}

references! {
    ExternRef: Extern;
    AnyRef: Any;
    EqRef: Eq;
    StructRef: Struct;
    ArrayRef: Array;
    ExnRef: Exn;
}

/// Rust types that stand for the parameters of a function: one, or a tuple.
///
/// # Safety
///
/// `store_all` must write a value of each of `TYPES`. Only this crate can satisfy this.
pub unsafe trait WasmParams: Send {
    #[doc(hidden)]
    const TYPES: &'static [ValType];
    #[doc(hidden)]
    fn store_all(self, store: &StoreOpaque, values: &mut [ValRaw]) -> Result<()>;
}

/// Rust types that stand for the results of a function: none, one, or a tuple.
///
/// # Safety
///
/// The functions must read and write a value of each of `TYPES`. Only this crate can satisfy this.
pub unsafe trait WasmResults: Send + Sized {
    #[doc(hidden)]
    const TYPES: &'static [ValType];
    #[doc(hidden)]
    unsafe fn load_all(store: &mut StoreOpaque, values: &[ValRaw]) -> Self;
    #[doc(hidden)]
    unsafe fn store_results(self, store: &StoreOpaque, values: *mut ValRaw) -> Result<()>;
}

// SAFETY: one value of its one type.
unsafe impl<A: WasmTy> WasmParams for A {
    const TYPES: &'static [ValType] = &[A::TYPE];
    #[inline]
    fn store_all(self, store: &StoreOpaque, values: &mut [ValRaw]) -> Result<()> {
        self.store(store, &mut values[0])
    }
}

// SAFETY: one value of its one type.
unsafe impl<A: WasmTy> WasmResults for A {
    const TYPES: &'static [ValType] = &[A::TYPE];
    #[inline]
    unsafe fn load_all(store: &mut StoreOpaque, values: &[ValRaw]) -> Self {
        // SAFETY: the caller's promise.
        unsafe { A::load(store, &values[0]) }
    }
    #[inline]
    unsafe fn store_results(self, store: &StoreOpaque, values: *mut ValRaw) -> Result<()> {
        // SAFETY: there is room for the results (caller's promise).
        self.store(store, unsafe { &mut *values })
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        // SAFETY: a value for each of the types, in order.
        unsafe impl<$($name: WasmTy),*> WasmParams for ($($name,)*) {
            const TYPES: &'static [ValType] = &[$($name::TYPE),*];
            #[inline]
            #[allow(non_snake_case, unused, clippy::unused_unit, reason = "generated for each number of elements")]
            fn store_all(self, store: &StoreOpaque, values: &mut [ValRaw]) -> Result<()> {
                let ($($name,)*) = self;
                let mut values = values.iter_mut();
                $($name.store(store, values.next().expect("room for each parameter"))?;)*
                Ok(())
            }
        }

        // SAFETY: a value for each of the types, in order.
        unsafe impl<$($name: WasmTy),*> WasmResults for ($($name,)*) {
            const TYPES: &'static [ValType] = &[$($name::TYPE),*];
            #[inline]
            #[allow(non_snake_case, unused, clippy::unused_unit, reason = "generated for each number of elements")]
            unsafe fn load_all(store: &mut StoreOpaque, values: &[ValRaw]) -> Self {
                let mut values = values.iter();
                $(
                    let raw = values.next().expect("a value for each result");
                    // SAFETY: the caller's promise.
                    let $name = unsafe { $name::load(store, raw) };
                )*
                ($($name,)*)
            }
            #[inline]
            #[allow(non_snake_case, unused, clippy::unused_unit, reason = "generated for each number of elements")]
            unsafe fn store_results(
                self,
                store: &StoreOpaque,
                values: *mut ValRaw,
            ) -> Result<()> {
                let ($($name,)*) = self;
                let mut at = values;
                $(
                    // SAFETY: there is room for the results (caller's promise).
                    unsafe {
                        $name.store(store, &mut *at)?;
                        at = at.add(1);
                    }
                )*
                Ok(())
            }
        }
    };
}

macro_rules! each_arity {
    ($mac:ident) => {
        $mac!();
        $mac!(A1);
        $mac!(A1 A2);
        $mac!(A1 A2 A3);
        $mac!(A1 A2 A3 A4);
        $mac!(A1 A2 A3 A4 A5);
        $mac!(A1 A2 A3 A4 A5 A6);
        $mac!(A1 A2 A3 A4 A5 A6 A7);
        $mac!(A1 A2 A3 A4 A5 A6 A7 A8);
        $mac!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
        $mac!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
        $mac!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
        $mac!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);
    };
}
pub(super) use each_arity;

each_arity!(tuples);
