//! [`AnyRef`] and [`EqRef`].

use super::{ArrayRef, ExternRef, I31, StructRef, Target, target};
use crate::error::Result;
use crate::gc::rooting::Rooted;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::types::{ArrayType, HeapType, StructType};

/// Any value of WebAssembly's own: an [`I31`], a struct, an array, or a host value that was converted.
#[derive(Debug)]
pub enum AnyRef {}

/// A value that `ref.eq` can compare: an [`I31`], a struct or an array.
#[derive(Debug)]
pub enum EqRef {}

impl AnyRef {
    /// An integer as a reference.
    pub fn from_i31(mut store: impl AsContextMut, value: I31) -> Rooted<AnyRef> {
        Rooted::new(store.as_context_mut().opaque(), value.to_raw())
    }

    /// `any.convert_extern`: the same reference as an [`AnyRef`].
    pub fn convert_extern(value: Rooted<ExternRef>) -> Rooted<AnyRef> {
        value.cast()
    }
}

impl EqRef {
    /// An integer as a reference.
    pub fn from_i31(mut store: impl AsContextMut, value: I31) -> Rooted<EqRef> {
        Rooted::new(store.as_context_mut().opaque(), value.to_raw())
    }
}

impl Rooted<AnyRef> {
    /// The same reference as an [`EqRef`], if it is one.
    ///
    /// # Errors
    ///
    /// When it is of another store, or its scope has ended.
    pub fn as_eqref(&self, store: impl AsContext) -> Result<Option<Rooted<EqRef>>> {
        let store = store.as_context().opaque();
        let is_eq = !matches!(target(store, self.raw(store)?), Target::Other);
        Ok(is_eq.then(|| self.cast()))
    }
}

impl Rooted<EqRef> {
    /// The same reference with a more general type.
    pub fn to_anyref(self) -> Rooted<AnyRef> {
        self.cast()
    }
}

macro_rules! both {
    ($name:ident) => {
        impl Rooted<$name> {
            /// The type of its target.
            ///
            /// # Errors
            ///
            /// When it is of another store, or its scope has ended.
            pub fn ty(&self, store: impl AsContext) -> Result<HeapType> {
                self.type_in(store.as_context().opaque())
            }

            pub(crate) fn type_in(&self, store: &StoreOpaque) -> Result<HeapType> {
                let registered = |id| store.engine().types().get(id);
                Ok(match target(store, self.raw(store)?) {
                    Target::I31 => HeapType::I31,
                    Target::Struct(id) => {
                        HeapType::ConcreteStruct(StructType::registered(registered(id)))
                    }
                    Target::Array(id) => {
                        HeapType::ConcreteArray(ArrayType::registered(registered(id)))
                    }
                    Target::Other => HeapType::Any,
                })
            }

            /// Whether it is of type `ty`.
            ///
            /// # Errors
            ///
            /// As [`Rooted::ty`].
            pub fn matches_ty(&self, store: impl AsContext, ty: &HeapType) -> Result<bool> {
                Ok(self.ty(store)?.matches(ty))
            }

            /// The integer, if it is one.
            ///
            /// # Errors
            ///
            /// As [`Rooted::ty`].
            pub fn as_i31(&self, store: impl AsContext) -> Result<Option<I31>> {
                let store = store.as_context().opaque();
                Ok(I31::from_raw(self.raw(store)?))
            }

            /// The struct, if it is one.
            ///
            /// # Errors
            ///
            /// As [`Rooted::ty`].
            pub fn as_struct(&self, store: impl AsContext) -> Result<Option<Rooted<StructRef>>> {
                let store = store.as_context().opaque();
                let is_struct = matches!(target(store, self.raw(store)?), Target::Struct(_));
                Ok(is_struct.then(|| self.cast()))
            }

            /// The array, if it is one.
            ///
            /// # Errors
            ///
            /// As [`Rooted::ty`].
            pub fn as_array(&self, store: impl AsContext) -> Result<Option<Rooted<ArrayRef>>> {
                let store = store.as_context().opaque();
                let is_array = matches!(target(store, self.raw(store)?), Target::Array(_));
                Ok(is_array.then(|| self.cast()))
            }
        }
    };
}

both!(AnyRef);
both!(EqRef);
