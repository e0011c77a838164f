//! [`ExnRef`]: an exception as a value.

use crate::engine::RegisteredType;
use crate::entities::{Tag, Val};
use crate::error::{Error, Result};
use crate::gc::heap::RawRef;
use crate::gc::object::Place;
use crate::gc::rooting::Rooted;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use seqfault_jit::gc::{EXCEPTION_TAG_OFFSET, GcLayout};
use seqfault_jit::vm::{VMTag, VMTypeKind};
use std::ptr::NonNull;

/// An exception: a tag, and a value for each of the parameters of its type.
#[derive(Debug)]
pub enum ExnRef {}

impl ExnRef {
    /// A new exception, which has not been thrown.
    ///
    /// # Errors
    ///
    /// When `fields` are not what the tag's type asks for, or the heap is full.
    ///
    /// # Panics
    ///
    /// When the tag is of another store.
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<Rooted<ExnRef>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        check_fields(store, tag, fields)?;
        let cell = tag.cell(store);
        // SAFETY: the store is borrowed mutably; the fields are rooted.
        let exception = unsafe { allocate(store, cell)? };
        for (place, field) in places(tag.registered_type(store)).zip(fields) {
            let raw = field.to_raw(store);
            place.store(store.gc_heap().expect("allocated from it"), exception, raw);
        }
        Ok(Rooted::new(store, exception))
    }
}

impl Rooted<ExnRef> {
    /// Its tag.
    ///
    /// # Errors
    ///
    /// When it is of another store, or its scope has ended.
    pub fn tag(&self, store: impl AsContext) -> Result<Tag> {
        let store = store.as_context().opaque();
        Ok(Tag::from_cell(store, tag_of(store, self.raw(store)?)))
    }

    /// Its values.
    ///
    /// # Errors
    ///
    /// As [`Rooted::tag`].
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let exception = self.raw(store)?;
        let ty = Tag::from_cell(store, tag_of(store, exception)).registered_type(store).clone();
        Ok(places(&ty).map(|place| place.get(store, exception, &ty)).collect())
    }

    /// One of its values.
    ///
    /// # Errors
    ///
    /// When `index` is not below the number of its values, and as [`Rooted::tag`].
    pub fn field(&self, store: impl AsContextMut, index: usize) -> Result<Val> {
        let fields = self.fields(store)?;
        let field = fields.get(index).copied();
        field.ok_or_else(|| Error::msg(format!("the exception has {} fields", fields.len())))
    }
}

/// The places of the values of exceptions, given their tag's type.
fn places(ty: &RegisteredType) -> impl Iterator<Item = Place> + '_ {
    let (Some(func), GcLayout::Fields(layout)) = (ty.ty().as_func(), ty.layout()) else {
        unreachable!("the type of a tag is that of a function")
    };
    let storages = func.params().iter().map(|&ty| seqfault_jit::types::StorageType::Val(ty));
    layout.offsets.iter().zip(storages).map(|(&offset, storage)| Place { offset, storage })
}

fn tag_of(store: &StoreOpaque, exception: RawRef) -> NonNull<VMTag> {
    let heap = store.gc_heap().expect("there is an object");
    let address = heap.read::<u64>(exception, EXCEPTION_TAG_OFFSET);
    NonNull::new(address as *mut VMTag).expect("written when it was made")
}

/// A new exception whose values are still to be written.
///
/// # Safety
///
/// As for [`crate::gc::allocate`]; `tag` must be one of the store's.
unsafe fn allocate(store: *mut StoreOpaque, tag: NonNull<VMTag>) -> Result<RawRef> {
    // SAFETY: the caller's promise; the store keeps its tags, and they keep their types.
    unsafe {
        let type_id = tag.as_ref().type_id;
        let GcLayout::Fields(layout) =
            Tag::from_cell(&*store, tag).registered_type(&*store).layout()
        else {
            unreachable!("exceptions have fields")
        };
        let (size, ty) = (layout.size, type_id | VMTypeKind::Other as u32);
        let exception = crate::gc::allocate(store, ty, size.into(), 0)?;
        let heap = (*store).gc_heap().expect("allocated from it");
        heap.write::<u64>(exception, EXCEPTION_TAG_OFFSET, tag.as_ptr() as u64);
        Ok(exception)
    }
}

/// An object for the exception that is being thrown, which has this tag.
///
/// # Safety
///
/// As for [`allocate`].
pub(crate) unsafe fn hold_thrown(store: *mut StoreOpaque, tag: NonNull<VMTag>) -> Result<RawRef> {
    // SAFETY: the caller's promise; the values are among the store's roots.
    unsafe {
        let exception = allocate(store, tag)?;
        let store = &*store;
        let ty = Tag::from_cell(store, tag).registered_type(store);
        let heap = store.gc_heap().expect("allocated from it");
        for (place, &value) in places(ty).zip(store.exceptions().values()) {
            place.store(heap, exception, value);
        }
        Ok(exception)
    }
}

/// Throws an exception again. Returns its tag.
///
/// # Errors
///
/// When the system has no memory for its values.
pub(crate) fn throw_again(store: &mut StoreOpaque, exception: RawRef) -> Result<NonNull<VMTag>> {
    let tag = tag_of(store, exception);
    // SAFETY: a tag of the store.
    let count = unsafe { tag.as_ref() }.values as usize;
    let mut values = store.exceptions_mut().take_list(count)?;
    let ty = Tag::from_cell(store, tag).registered_type(store);
    let heap = store.gc_heap().expect("there is an object");
    values.extend(places(ty).map(|place| place.load(heap, exception)));
    store.exceptions_mut().set_list(tag, values);
    Ok(tag)
}

/// An error unless `fields` match the type of this tag.
pub(crate) fn check_fields(store: &StoreOpaque, tag: &Tag, fields: &[Val]) -> Result<()> {
    let ty = tag.tag_type(store);
    let (expected, found) = (ty.ty().params().len(), fields.len());
    if expected != found {
        return Err(Error::msg(format!("expected {expected} fields, found {found}")));
    }
    for (index, (field, ty)) in fields.iter().zip(ty.ty().params()).enumerate() {
        field.check(store, ty).map_err(|error| error.context(format!("field {index}")))?;
    }
    Ok(())
}
