//! [`ThrownException`]: an exception that has left wasm, or is about to enter it, as an error.

use crate::entities::{ExnRef, Tag, Val, check_fields};
use crate::error::Result;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use crate::types::TagType;
use std::fmt;

/// An exception as an error.
///
/// A call whose exception nobody has caught returns it; see [`Error::downcast_ref`]. A host function
/// that returns it throws the exception in its caller, where it may be caught: one that comes from a
/// call of its own goes on when it is returned, like any error.
///
/// [`Error::downcast_ref`]: crate::Error::downcast_ref
#[derive(Clone)]
pub struct ThrownException {
    tag: Tag,
    ty: TagType,
    fields: Box<[Val]>,
}

impl ThrownException {
    /// An exception to be returned from a host function.
    ///
    /// # Errors
    ///
    /// When `fields` are not what the tag's type asks for.
    ///
    /// # Panics
    ///
    /// When the tag is of another store.
    pub fn new(store: impl AsContext, tag: &Tag, fields: &[Val]) -> Result<ThrownException> {
        let store = store.as_context().opaque();
        check_fields(store, tag, fields)?;
        Ok(ThrownException::from_parts(store, *tag, fields.into()))
    }

    /// Its tag.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// What it carries: a value for each parameter of the tag's type.
    pub fn fields(&self) -> &[Val] {
        &self.fields
    }

    /// The exception as a value that guests can hold.
    ///
    /// # Errors
    ///
    /// When the store has no room.
    ///
    /// # Panics
    ///
    /// When it is of another store.
    pub fn to_exn_ref(&self, store: impl AsContextMut) -> Result<ExnRef> {
        ExnRef::new(store, &self.tag, &self.fields)
    }

    pub(crate) fn from_parts(store: &StoreOpaque, tag: Tag, fields: Box<[Val]>) -> ThrownException {
        ThrownException { tag, ty: tag.tag_type(store), fields }
    }
}

impl fmt::Display for ThrownException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uncaught exception {}", self.ty)
    }
}

impl fmt::Debug for ThrownException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ThrownException { tag, fields, .. } = self;
        f.debug_struct("ThrownException").field("tag", tag).field("fields", fields).finish()
    }
}

impl std::error::Error for ThrownException {}
