//! [`ExnRef`]: an exception as a value.

use super::{Tag, Val};
use crate::error::{Error, Result};
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};

/// An exception in a store: a tag, and a value for each of the parameters of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExnRef {
    store: StoreId,
    /// Never 0, which is null.
    number: u32,
}

impl ExnRef {
    /// A new exception, which nobody has thrown.
    ///
    /// # Errors
    ///
    /// When `fields` are not what the tag's type asks for, and when the store has no room.
    ///
    /// # Panics
    ///
    /// When the tag, or a reference among the fields, is of another store.
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<ExnRef> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        check_fields(store, tag, fields)?;
        let fields = fields.iter().map(|field| field.to_raw(store)).collect();
        let number = store.add_exception(tag.cell(store), fields)?;
        Ok(ExnRef { store: store.id(), number })
    }

    /// Its tag.
    pub fn tag(&self, store: impl AsContext) -> Tag {
        let store = store.as_context().opaque();
        Tag::from_cell(store, store.exception(self.number(store)).tag)
    }

    /// What it carries.
    pub fn fields(&self, mut store: impl AsContextMut) -> Vec<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let exception = store.exception(self.number(store));
        let (tag, fields) = (exception.tag, exception.fields.clone());
        let ty = Tag::from_cell(store, tag).tag_type(store);
        let fields = fields.iter().zip(ty.ty().params());
        // SAFETY: an exception's fields are of its tag's types.
        fields.map(|(&raw, ty)| unsafe { Val::from_raw(store, raw, ty) }).collect()
    }

    /// One of the values that it carries.
    ///
    /// # Errors
    ///
    /// When it does not carry so many.
    pub fn field(&self, store: impl AsContextMut, index: usize) -> Result<Val> {
        let fields = self.fields(store);
        let field = fields.get(index).copied();
        field.ok_or_else(|| Error::msg(format!("the exception has {} fields", fields.len())))
    }

    pub(crate) fn from_number(store: &StoreOpaque, number: u32) -> Option<ExnRef> {
        (number != 0).then_some(ExnRef { store: store.id(), number })
    }

    /// The number that stands for the exception in compiled code.
    ///
    /// # Panics
    ///
    /// When it is of another store.
    pub(crate) fn number(self, store: &StoreOpaque) -> u32 {
        store.check(self.store);
        self.number
    }
}

/// An error unless `fields` are what an exception with this tag carries.
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
