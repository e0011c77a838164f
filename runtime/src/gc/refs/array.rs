//! [`ArrayRef`].

use super::{AnyRef, EqRef, object};
use crate::engine::RegisteredType;
use crate::entities::Val;
use crate::error::{Error, Result};
use crate::gc::heap::RawRef;
use crate::gc::object::Place;
use crate::gc::rooting::Rooted;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::trap::{TrapCode, TrapReason};
use crate::types::{ArrayType, Mutability};
use seqfault_jit::gc::array_size;
use seqfault_jit::types::{self as canonical, CompositeType};
use std::slice;

/// An array.
#[derive(Debug)]
pub enum ArrayRef {}

/// The data that is needed to make arrays of a type in a store, looked up once.
#[derive(Clone, Debug)]
pub struct ArrayRefPre {
    store: StoreId,
    ty: ArrayType,
}

impl ArrayRefPre {
    /// For arrays of type `ty`.
    ///
    /// # Panics
    ///
    /// When the type belongs to another engine than the store.
    pub fn new(mut store: impl AsContextMut, ty: ArrayType) -> ArrayRefPre {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.keep_type(ty.inner());
        ArrayRefPre { store: store.id(), ty }
    }
}

fn canonical(ty: &RegisteredType) -> &canonical::ArrayType {
    match &ty.ty().composite {
        CompositeType::Array(ty) => ty,
        other => unreachable!("an array type: {other:?}"),
    }
}

impl ArrayRef {
    /// A new array of `len` elements, each `element`.
    ///
    /// # Errors
    ///
    /// When the element is not of the type, or the heap is full.
    ///
    /// # Panics
    ///
    /// When `pre` is of another store.
    pub fn new(
        mut store: impl AsContextMut,
        pre: &ArrayRefPre,
        element: &Val,
        len: u32,
    ) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        check_elements(store, pre, slice::from_ref(element))?;
        ArrayRef::from_checked(store, pre, len, |_| element)
    }

    /// A new array of these elements.
    ///
    /// # Errors
    ///
    /// When an element is not of the type, or the heap is full.
    ///
    /// # Panics
    ///
    /// When `pre` is of another store.
    pub fn new_fixed(
        mut store: impl AsContextMut,
        pre: &ArrayRefPre,
        elements: &[Val],
    ) -> Result<Rooted<ArrayRef>> {
        let len =
            u32::try_from(elements.len()).map_err(|_| TrapReason(TrapCode::GcHeapOutOfMemory))?;
        let mut store = store.as_context_mut();
        let store = store.opaque();
        check_elements(store, pre, elements)?;
        ArrayRef::from_checked(store, pre, len, |index| &elements[index as usize])
    }

    /// Elements that have passed [`check_elements`].
    fn from_checked<'v>(
        store: &mut StoreOpaque,
        pre: &ArrayRefPre,
        len: u32,
        element: impl Fn(u32) -> &'v Val,
    ) -> Result<Rooted<ArrayRef>> {
        let ty = pre.ty.inner();
        let array = canonical(ty);
        let size = array_size(array.element.storage.size(), len)
            .ok_or(TrapReason(TrapCode::GcHeapOutOfMemory))?;
        // SAFETY: the store is borrowed mutably; the elements are rooted.
        let object = unsafe { crate::gc::allocate(store, ty.id().0, size.into(), len)? };
        for index in 0..len {
            let raw = element(index).to_raw(store);
            let heap = store.gc_heap().expect("allocated from it");
            Place::element(array, index).store(heap, object, raw);
        }
        Ok(Rooted::new(store, object))
    }
}

/// An error unless the array's elements may have these values.
fn check_elements(store: &StoreOpaque, pre: &ArrayRefPre, elements: &[Val]) -> Result<()> {
    store.check(pre.store);
    let ty = pre.ty.inner();
    // All elements have one type.
    let place = Place::element(canonical(ty), 0);
    for (index, element) in elements.iter().enumerate() {
        place
            .check(store, ty, element)
            .map_err(|error| error.context(format!("element {index}")))?;
    }
    Ok(())
}

impl Rooted<ArrayRef> {
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
    pub fn ty(&self, store: impl AsContext) -> Result<ArrayType> {
        Ok(ArrayType::registered(object(self, store.as_context().opaque())?.1))
    }

    /// How many elements it has.
    ///
    /// # Errors
    ///
    /// As [`Rooted::ty`].
    pub fn len(&self, store: impl AsContext) -> Result<u32> {
        let store = store.as_context().opaque();
        let reference = self.raw(store)?;
        Ok(store.gc_heap().expect("there is an object").len_of(reference))
    }

    /// Whether it has none.
    ///
    /// # Errors
    ///
    /// As [`Rooted::ty`].
    pub fn is_empty(&self, store: impl AsContext) -> Result<bool> {
        Ok(self.len(store)? == 0)
    }

    /// One element.
    ///
    /// # Errors
    ///
    /// When it is outside of the array, and as [`Rooted::ty`].
    pub fn get(&self, mut store: impl AsContextMut, index: u32) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (reference, ty, place) = element(self, store, index)?;
        Ok(place.get(store, reference, &ty))
    }

    /// Changes one element.
    ///
    /// # Errors
    ///
    /// When it is outside of the array, immutable or of another type, and as [`Rooted::ty`].
    pub fn set(&self, mut store: impl AsContextMut, index: u32, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (reference, ty, place) = element(self, store, index)?;
        if canonical(&ty).element.mutability == Mutability::Const {
            return Err(Error::msg("the array is immutable"));
        }
        place.set(store, reference, &ty, &value)
    }
}

fn element(
    array: &Rooted<ArrayRef>,
    store: &StoreOpaque,
    index: u32,
) -> Result<(RawRef, RegisteredType, Place)> {
    let (reference, ty) = object(array, store)?;
    let len = store.gc_heap().expect("there is an object").len_of(reference);
    if index >= len {
        return Err(Error::msg(format!("index {index} is outside of an array of {len} elements")));
    }
    let place = Place::element(canonical(&ty), index);
    Ok((reference, ty, place))
}
