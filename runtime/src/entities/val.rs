//! [`Val`]: a value of any type.

use crate::error::{Error, Result};
use crate::func::Func;
use crate::gc::{AnyRef, ArrayRef, EqRef, ExnRef, ExternRef, GcRef, Rooted, StructRef};
use crate::store::{AsContext, StoreOpaque};
use crate::types::{HeapType, RefType, ValType};
use seqfault_jit::vm::ValRaw;

/// A value of any type. Floats are kept as bits, so that the bits of NaNs are preserved.
#[derive(Clone, Copy, Debug)]
pub enum Val {
    /// `i32`.
    I32(i32),
    /// `i64`.
    I64(i64),
    /// `f32`, as bits.
    F32(u32),
    /// `f64`, as bits.
    F64(u64),
    /// `v128`, little-endian.
    V128(u128),
    /// A function, or null.
    FuncRef(Option<Func>),
    /// A value from outside, or null.
    ExternRef(Option<Rooted<ExternRef>>),
    /// A value of WebAssembly's own, or null.
    AnyRef(Option<Rooted<AnyRef>>),
    /// An exception, or null.
    ExnRef(Option<Rooted<ExnRef>>),
}

macro_rules! accessors {
    ($($variant:ident($ty:ty), $get:ident, $unwrap:ident, $what:literal;)*) => {
        $(
            #[doc = concat!("The ", $what, ", if it is one.")]
            pub fn $get(&self) -> Option<$ty> {
                match self {
                    Val::$variant(value) => Some(accessors!(@convert $variant, *value)),
                    _ => None,
                }
            }

            #[doc = concat!("The ", $what, ".\n\n# Panics\n\nWhen it is something else.")]
            #[track_caller]
            pub fn $unwrap(&self) -> $ty {
                self.$get().unwrap_or_else(|| panic!("expected {}, found {self:?}", $what))
            }
        )*
    };
    (@convert F32, $value:expr) => { f32::from_bits($value) };
    (@convert F64, $value:expr) => { f64::from_bits($value) };
    (@convert $variant:ident, $value:expr) => { $value };
}

impl Val {
    accessors! {
        I32(i32), i32, unwrap_i32, "i32";
        I64(i64), i64, unwrap_i64, "i64";
        F32(f32), f32, unwrap_f32, "f32";
        F64(f64), f64, unwrap_f64, "f64";
        V128(u128), v128, unwrap_v128, "v128";
        FuncRef(Option<Func>), func_ref, unwrap_func_ref, "funcref";
        ExternRef(Option<Rooted<ExternRef>>), extern_ref, unwrap_extern_ref, "externref";
        AnyRef(Option<Rooted<AnyRef>>), any_ref, unwrap_any_ref, "anyref";
        ExnRef(Option<Rooted<ExnRef>>), exn_ref, unwrap_exn_ref, "exnref";
    }

    /// The null reference to a `heap_type`.
    pub fn null_ref(heap_type: &HeapType) -> Val {
        match heap_type.top() {
            HeapType::Func => Val::FuncRef(None),
            HeapType::Extern => Val::ExternRef(None),
            HeapType::Exn => Val::ExnRef(None),
            _ => Val::AnyRef(None),
        }
    }

    /// Zero or null; `None` if the type has neither.
    pub fn default_for_ty(ty: &ValType) -> Option<Val> {
        match ty {
            ValType::Ref(ty) => ty.is_nullable().then(|| Val::null_ref(ty.heap_type())),
            _ => Some(Val::zero(ty)),
        }
    }

    /// Zero, or null for any reference type.
    pub(crate) fn zero(ty: &ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(0),
            ValType::Ref(ty) => Val::null_ref(ty.heap_type()),
        }
    }

    /// The type of the value.
    ///
    /// # Errors
    ///
    /// When it is a reference of another store, or was rooted in a scope that has ended.
    pub fn ty(&self, store: impl AsContext) -> Result<ValType> {
        self.type_in(store.as_context().opaque())
    }

    fn type_in(&self, store: &StoreOpaque) -> Result<ValType> {
        let non_null = |heap_type| ValType::Ref(RefType::new(false, heap_type));
        let null = |heap_type| ValType::Ref(RefType::new(true, heap_type));
        Ok(match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(None) => null(HeapType::NoFunc),
            Val::FuncRef(Some(func)) if func.store() != store.id() => return Err(foreign()),
            Val::FuncRef(Some(func)) => non_null(HeapType::ConcreteFunc(func.func_type(store))),
            Val::ExternRef(None) => null(HeapType::NoExtern),
            Val::ExternRef(Some(value)) => {
                value.raw(store)?;
                non_null(HeapType::Extern)
            }
            Val::AnyRef(None) => null(HeapType::None),
            Val::AnyRef(Some(value)) => non_null(value.type_in(store)?),
            Val::ExnRef(None) => null(HeapType::NoExn),
            Val::ExnRef(Some(value)) => {
                value.raw(store)?;
                non_null(HeapType::Exn)
            }
        })
    }

    /// Whether the value has type `ty`.
    ///
    /// # Errors
    ///
    /// As [`Val::ty`].
    pub fn matches_ty(&self, store: impl AsContext, ty: &ValType) -> Result<bool> {
        Ok(self.ty(store)?.matches(ty))
    }

    /// An error that names both, unless the value has type `ty`. After success, [`Val::to_raw`]
    /// works until the next scope ends.
    pub(crate) fn check(&self, store: &StoreOpaque, ty: &ValType) -> Result<()> {
        match (self, ty) {
            // The common cases, without making a type first.
            (Val::I32(_), ValType::I32)
            | (Val::I64(_), ValType::I64)
            | (Val::F32(_), ValType::F32)
            | (Val::F64(_), ValType::F64)
            | (Val::V128(_), ValType::V128) => return Ok(()),
            _ => {}
        }
        let found = self.type_in(store)?;
        match found.matches(ty) {
            true => Ok(()),
            false => Err(mismatch(ty, &found)),
        }
    }

    /// As [`Val::check`].
    pub(crate) fn check_reference(&self, store: &StoreOpaque, ty: &RefType) -> Result<()> {
        match self.type_in(store)? {
            ValType::Ref(found) if found.matches(ty) => Ok(()),
            found => Err(mismatch(ty, &found)),
        }
    }

    /// The value in the form of compiled code. All 16 bytes are written.
    ///
    /// # Panics
    ///
    /// When it is a reference that [`Val::check`] refuses.
    pub(crate) fn to_raw(self, store: &StoreOpaque) -> ValRaw {
        let low = match self {
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            Val::F32(bits) => u64::from(bits),
            Val::F64(bits) => bits,
            Val::V128(bits) => return ValRaw { v128: bits.to_le() },
            Val::FuncRef(func) => func.map_or(0, |func| func.raw(store) as u64),
            Val::ExternRef(value) => raw(store, value),
            Val::AnyRef(value) => raw(store, value),
            Val::ExnRef(value) => raw(store, value),
        };
        ValRaw { v128: u128::from(low).to_le() }
    }

    /// The value of type `ty` that compiled code has left in `raw`.
    ///
    /// # Safety
    ///
    /// `raw` must hold a value of that type, of this store.
    pub(crate) unsafe fn from_raw(store: &mut StoreOpaque, raw: ValRaw, ty: &ValType) -> Val {
        // SAFETY: all fields are plain bits; `raw` holds a `ty` (caller's promise).
        unsafe {
            match ty {
                ValType::I32 => Val::I32(raw.i32),
                ValType::I64 => Val::I64(raw.i64),
                ValType::F32 => Val::F32(raw.f32),
                ValType::F64 => Val::F64(raw.f64),
                ValType::V128 => Val::V128(u128::from_le(raw.v128)),
                ValType::Ref(ty) => Val::from_reference(store, raw.f64, ty),
            }
        }
    }

    /// The reference that a table element, or the low half of a [`ValRaw`], holds.
    ///
    /// # Safety
    ///
    /// `bits` must be a reference of that type, of this store.
    pub(crate) unsafe fn from_reference(store: &mut StoreOpaque, bits: u64, ty: &RefType) -> Val {
        // References into the heap have 32 bits; the upper half of a raw value is not part of them.
        let low = bits as u32;
        match ty.heap_type().top() {
            // SAFETY: null or a function of this store (caller's promise).
            HeapType::Func => Val::FuncRef(unsafe { Func::from_raw(store, bits as *mut _) }),
            HeapType::Extern => Val::ExternRef(Rooted::from_raw(store, low)),
            HeapType::Exn => Val::ExnRef(Rooted::from_raw(store, low)),
            _ => Val::AnyRef(Rooted::from_raw(store, low)),
        }
    }

    /// A reference as a table element.
    pub(crate) fn to_reference(self, store: &StoreOpaque) -> u64 {
        // SAFETY: `to_raw` writes all bytes, and the low 8 are the reference.
        unsafe { self.to_raw(store).f64 }
    }
}

fn foreign() -> Error {
    Error::msg("a reference used with another store than its own")
}

fn mismatch(expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    Error::msg(format!("type mismatch: expected {expected}, found {found}"))
}

/// A reference that has been checked, in the form of compiled code.
fn raw<T: GcRef>(store: &StoreOpaque, value: Option<Rooted<T>>) -> u64 {
    value.map_or(0, |value| u64::from(value.raw(store).expect("it was checked")))
}

impl From<i32> for Val {
    fn from(value: i32) -> Val {
        Val::I32(value)
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Val {
        Val::I64(value)
    }
}

impl From<f32> for Val {
    fn from(value: f32) -> Val {
        Val::F32(value.to_bits())
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Val {
        Val::F64(value.to_bits())
    }
}

impl From<u128> for Val {
    fn from(value: u128) -> Val {
        Val::V128(value)
    }
}

impl From<Func> for Val {
    fn from(value: Func) -> Val {
        Val::FuncRef(Some(value))
    }
}

impl From<Rooted<ExternRef>> for Val {
    fn from(value: Rooted<ExternRef>) -> Val {
        Val::ExternRef(Some(value))
    }
}

impl From<Rooted<AnyRef>> for Val {
    fn from(value: Rooted<AnyRef>) -> Val {
        Val::AnyRef(Some(value))
    }
}

impl From<Rooted<EqRef>> for Val {
    fn from(value: Rooted<EqRef>) -> Val {
        value.to_anyref().into()
    }
}

impl From<Rooted<StructRef>> for Val {
    fn from(value: Rooted<StructRef>) -> Val {
        value.to_anyref().into()
    }
}

impl From<Rooted<ArrayRef>> for Val {
    fn from(value: Rooted<ArrayRef>) -> Val {
        value.to_anyref().into()
    }
}

impl From<Rooted<ExnRef>> for Val {
    fn from(value: Rooted<ExnRef>) -> Val {
        Val::ExnRef(Some(value))
    }
}
