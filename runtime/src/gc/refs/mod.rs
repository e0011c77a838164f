//! The kinds of references, as types of the embedding API.
//!
//! No values of these types are ever made: the host holds a [`Rooted`] of one of them.

mod any;
mod array;
mod exception;
mod external;
mod i31;
mod structure;

pub use any::{AnyRef, EqRef};
pub use array::{ArrayRef, ArrayRefPre};
pub use exception::ExnRef;
pub(crate) use exception::{check_fields, hold_thrown, throw_again};
pub use external::ExternRef;
pub use i31::I31;
pub use structure::{StructRef, StructRefPre};

use super::heap::RawRef;
use super::rooting::{GcRef, Rooted, private};
use crate::engine::{RegisteredType, TypeId};
use crate::error::Result;
use crate::store::StoreOpaque;
use seqfault_jit::vm::{TYPE_KIND_MASK, VMTypeKind};

macro_rules! kinds {
    ($($name:ident)*) => {
        $(
            impl private::Sealed for $name {}
            impl GcRef for $name {}
        )*
    };
}

kinds!(AnyRef EqRef StructRef ArrayRef ExternRef ExnRef);

/// The target of a reference that is not null.
pub(super) enum Target {
    I31,
    Struct(TypeId),
    Array(TypeId),
    /// A host value, or an exception.
    Other,
}

pub(super) fn target(store: &StoreOpaque, reference: RawRef) -> Target {
    if I31::from_raw(reference).is_some() {
        return Target::I31;
    }
    let ty = store.gc_heap().expect("there is an object").type_of(reference);
    match ty & TYPE_KIND_MASK {
        kind if kind == VMTypeKind::Struct as u32 => Target::Struct(TypeId(ty)),
        kind if kind == VMTypeKind::Array as u32 => Target::Array(TypeId(ty)),
        _ => Target::Other,
    }
}

/// The object that a handle refers to, and its type.
fn object<T: GcRef>(handle: &Rooted<T>, store: &StoreOpaque) -> Result<(RawRef, RegisteredType)> {
    let reference = handle.raw(store)?;
    let ty = store.gc_heap().expect("there is an object").type_of(reference);
    Ok((reference, store.engine().types().get(TypeId(ty))))
}
