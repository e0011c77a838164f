//! [`StructRef`].

use super::{AnyRef, EqRef, object};
use crate::entities::Val;
use crate::error::{Error, Result};
use crate::gc::object::Place;
use crate::gc::rooting::Rooted;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::{Mutability, StructType};
use seqfault_jit::gc::GcLayout;

/// A struct.
#[derive(Debug)]
pub enum StructRef {}

/// The data that is needed to make structs of a type in a store, looked up once.
#[derive(Clone, Debug)]
pub struct StructRefPre {
    store: StoreId,
    ty: StructType,
}

impl StructRefPre {
    /// For structs of type `ty`.
    ///
    /// # Panics
    ///
    /// When the type belongs to another engine than the store.
    pub fn new(mut store: impl AsContextMut, ty: StructType) -> StructRefPre {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.keep_type(ty.inner());
        StructRefPre { store: store.id(), ty }
    }
}

impl StructRef {
    /// A new struct with these fields.
    ///
    /// # Errors
    ///
    /// When the fields are not those of the type, or the heap is full.
    ///
    /// # Panics
    ///
    /// When `pre` is of another store.
    pub fn new(
        mut store: impl AsContextMut,
        pre: &StructRefPre,
        fields: &[Val],
    ) -> Result<Rooted<StructRef>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(pre.store);
        let ty = pre.ty.inner();
        let GcLayout::Fields(layout) = ty.layout() else { unreachable!("a struct type") };
        if fields.len() != layout.offsets.len() {
            let (expected, found) = (layout.offsets.len(), fields.len());
            return Err(Error::msg(format!("expected {expected} fields, found {found}")));
        }
        let place = |index| Place::field(ty, index).expect("as many fields as values");
        for (index, field) in fields.iter().enumerate() {
            place(index)
                .check(store, ty, field)
                .map_err(|e| e.context(format!("field {index}")))?;
        }
        // SAFETY: the store is borrowed mutably; the references in `fields` are rooted.
        let object = unsafe { crate::gc::allocate(store, ty.id().0, layout.size.into(), 0)? };
        for (index, field) in fields.iter().enumerate() {
            let raw = field.to_raw(store);
            place(index).store(store.gc_heap().expect("allocated from it"), object, raw);
        }
        Ok(Rooted::new(store, object))
    }
}

impl Rooted<StructRef> {
    /// The same reference with a more general type.
    pub fn to_anyref(self) -> Rooted<AnyRef> {
        self.cast()
    }

    /// The same reference with a more general type.
    pub fn to_eqref(self) -> Rooted<EqRef> {
        self.cast()
    }

    /// Its type.
    ///
    /// # Errors
    ///
    /// When it is of another store, or its scope has ended.
    pub fn ty(&self, store: impl AsContext) -> Result<StructType> {
        Ok(StructType::registered(object(self, store.as_context().opaque())?.1))
    }

    /// One field.
    ///
    /// # Errors
    ///
    /// When the struct has no field of that index, and as [`Rooted::ty`].
    pub fn field(&self, mut store: impl AsContextMut, index: usize) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (reference, ty) = object(self, store)?;
        let place = Place::field(&ty, index).ok_or_else(|| no_field(index))?;
        Ok(place.get(store, reference, &ty))
    }

    /// All fields, in order.
    ///
    /// # Errors
    ///
    /// As [`Rooted::ty`].
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        let mut store = store.as_context_mut();
        let store: &mut StoreOpaque = store.opaque();
        let (reference, ty) = object(self, store)?;
        let mut fields = Vec::new();
        while let Some(place) = Place::field(&ty, fields.len()) {
            fields.push(place.get(store, reference, &ty));
        }
        Ok(fields)
    }

    /// Changes one field.
    ///
    /// # Errors
    ///
    /// When the struct has no field of that index, the field is immutable or of another type, and
    /// as [`Rooted::ty`].
    pub fn set_field(&self, mut store: impl AsContextMut, index: usize, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (reference, ty) = object(self, store)?;
        let place = Place::field(&ty, index).ok_or_else(|| no_field(index))?;
        let field = StructType::registered(ty.clone()).field(index).expect("there is one");
        if field.mutability() == Mutability::Const {
            return Err(Error::msg(format!("field {index} is immutable")));
        }
        place.set(store, reference, &ty, &value)
    }
}

fn no_field(index: usize) -> Error {
    Error::msg(format!("the struct has no field {index}"))
}
