//! [`Val`]: a value of any type.

use super::{ExnRef, ExternRef};
use crate::error::{Error, Result};
use crate::func::Func;
use crate::store::{AsContext, StoreOpaque};
use crate::types::{HeapType, RefType, ValType};
use seqfault_jit::vm::ValRaw;

/// A value of any type. Floats are their bits, so that NaNs keep theirs.
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
    /// A host value, or null.
    ExternRef(Option<ExternRef>),
    /// An exception, or null.
    ExnRef(Option<ExnRef>),
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
        ExternRef(Option<ExternRef>), extern_ref, unwrap_extern_ref, "externref";
        ExnRef(Option<ExnRef>), exn_ref, unwrap_exn_ref, "exnref";
    }

    /// The null reference to a `heap_type`.
    pub fn null_ref(heap_type: &HeapType) -> Val {
        match heap_type.top() {
            HeapType::Func => Val::FuncRef(None),
            HeapType::Exn => Val::ExnRef(None),
            _ => Val::ExternRef(None),
        }
    }

    /// Zero or null, if the type has it.
    pub fn default_for_ty(ty: &ValType) -> Option<Val> {
        match ty {
            ValType::Ref(ty) => ty.is_nullable().then(|| Val::null_ref(ty.heap_type())),
            _ => Some(Val::zero(ty)),
        }
    }

    /// Zero, or null where there should be a reference.
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
    /// # Panics
    ///
    /// When it is a reference of another store.
    pub fn ty(&self, store: impl AsContext) -> ValType {
        self.type_in(store.as_context().opaque())
    }

    fn type_in(&self, store: &StoreOpaque) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(None) => ValType::Ref(RefType::new(true, HeapType::NoFunc)),
            Val::FuncRef(Some(func)) => {
                ValType::Ref(RefType::new(false, HeapType::ConcreteFunc(func.func_type(store))))
            }
            Val::ExternRef(None) => ValType::Ref(RefType::new(true, HeapType::NoExtern)),
            Val::ExternRef(Some(_)) => ValType::Ref(RefType::new(false, HeapType::Extern)),
            Val::ExnRef(None) => ValType::Ref(RefType::new(true, HeapType::NoExn)),
            Val::ExnRef(Some(_)) => ValType::Ref(RefType::new(false, HeapType::Exn)),
        }
    }

    /// Whether the value is one of type `ty`.
    ///
    /// # Panics
    ///
    /// When it is a reference of another store.
    pub fn matches_ty(&self, store: impl AsContext, ty: &ValType) -> bool {
        self.matches(store.as_context().opaque(), ty)
    }

    fn matches(&self, store: &StoreOpaque, ty: &ValType) -> bool {
        match (self, ty) {
            (Val::I32(_), ValType::I32)
            | (Val::I64(_), ValType::I64)
            | (Val::F32(_), ValType::F32)
            | (Val::F64(_), ValType::F64)
            | (Val::V128(_), ValType::V128) => true,
            (_, ValType::Ref(ty)) => self.matches_reference(store, ty),
            _ => false,
        }
    }

    fn matches_reference(&self, store: &StoreOpaque, ty: &RefType) -> bool {
        match self.type_in(store) {
            ValType::Ref(own) => own.matches(ty),
            _ => false,
        }
    }

    /// An error that names both, unless the value is one of type `ty`.
    pub(crate) fn check(&self, store: &StoreOpaque, ty: &ValType) -> Result<()> {
        match self.matches(store, ty) {
            true => Ok(()),
            false => Err(self.mismatch(store, ty)),
        }
    }

    /// As [`Val::check`].
    pub(crate) fn check_reference(&self, store: &StoreOpaque, ty: &RefType) -> Result<()> {
        match self.matches_reference(store, ty) {
            true => Ok(()),
            false => Err(self.mismatch(store, ty)),
        }
    }

    fn mismatch(&self, store: &StoreOpaque, expected: impl std::fmt::Display) -> Error {
        let found = self.type_in(store);
        Error::msg(format!("type mismatch: expected {expected}, found {found}"))
    }

    /// The value as compiled code has it. All 16 bytes are written.
    ///
    /// # Panics
    ///
    /// When it is a reference of another store.
    pub(crate) fn to_raw(self, store: &StoreOpaque) -> ValRaw {
        let low = match self {
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            Val::F32(bits) => u64::from(bits),
            Val::F64(bits) => bits,
            Val::V128(bits) => return ValRaw { v128: bits.to_le() },
            Val::FuncRef(func) => func.map_or(0, |func| func.raw(store) as u64),
            Val::ExternRef(value) => value.map_or(0, |value| u64::from(value.number(store))),
            Val::ExnRef(value) => value.map_or(0, |value| u64::from(value.number(store))),
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
        match ty.heap_type().top() {
            // SAFETY: null or a function of this store (caller's promise).
            HeapType::Func => Val::FuncRef(unsafe { Func::from_raw(store, bits as *mut _) }),
            // These have 32 bits; the upper half of a raw value is not theirs.
            HeapType::Exn => Val::ExnRef(ExnRef::from_number(store, bits as u32)),
            _ => Val::ExternRef(ExternRef::from_number(store, bits as u32)),
        }
    }

    /// A reference as a table element.
    pub(crate) fn to_reference(self, store: &StoreOpaque) -> u64 {
        // SAFETY: `to_raw` writes all bytes, and the low 8 are the reference.
        unsafe { self.to_raw(store).f64 }
    }
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

impl From<ExnRef> for Val {
    fn from(value: ExnRef) -> Val {
        Val::ExnRef(Some(value))
    }
}

impl From<ExternRef> for Val {
    fn from(value: ExternRef) -> Val {
        Val::ExternRef(Some(value))
    }
}
