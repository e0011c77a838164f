//! [`ThrownException`]: an exception that has left wasm, or is about to enter it, as an error.

use crate::entities::{Tag, Val};
use crate::error::Result;
use crate::fallible::{self, NoMemory};
use crate::gc::{ExnRef, HeldRef, Rooted, check_fields};
use crate::store::{AsContextMut, StoreOpaque};
use crate::types::TagType;
use seqfault_jit::message::Escaped;
use seqfault_jit::vm::ValRaw;
use std::fmt;

/// An exception as an error.
///
/// A call returns it if no handler has caught the exception; see [`Error::downcast_ref`]. If a host
/// function returns it, the exception is thrown in the function's caller, where it may be caught.
/// So an exception from an inner call continues when the host function returns it, like any error.
///
/// [`Error::downcast_ref`]: crate::Error::downcast_ref
#[derive(Clone)]
pub struct ThrownException {
    tag: Tag,
    ty: TagType,
    fields: Box<[Val]>,
    /// The same values as `fields`, but valid beyond the scope in which those are rooted.
    held: Box<[Held]>,
}

/// A value that an exception carries.
#[derive(Clone)]
enum Held {
    Plain(u128),
    Reference(HeldRef),
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
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<ThrownException> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        check_fields(store, tag, fields)?;
        Ok(ThrownException::from_parts(store, *tag, fields.into())?)
    }

    /// Its tag.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Its values: one for each parameter of the tag's type. References are rooted in the scope in
    /// which the call returned the error, or in which this was made.
    pub fn fields(&self) -> &[Val] {
        &self.fields
    }

    /// The exception as a value that guests can hold.
    ///
    /// # Errors
    ///
    /// When the heap is full, or the scope of its references has ended.
    ///
    /// # Panics
    ///
    /// When it is of another store.
    pub fn to_exn_ref(&self, store: impl AsContextMut) -> Result<Rooted<ExnRef>> {
        ExnRef::new(store, &self.tag, &self.fields)
    }

    /// An exception whose fields have been checked.
    pub(crate) fn from_parts(
        store: &mut StoreOpaque,
        tag: Tag,
        fields: Box<[Val]>,
    ) -> Result<ThrownException, NoMemory> {
        let ty = tag.tag_type(store);
        let registered = tag.registered_type(store).clone();
        let params = registered.ty().as_func().expect("validated").params();
        let mut held = fallible::with_capacity(fields.len())?;
        for (field, ty) in fields.iter().zip(params) {
            // SAFETY: raw values have all their bytes written.
            let bits = unsafe { field.to_raw(store).v128 };
            held.push(match ty.is_gc() {
                true => Held::Reference(HeldRef::new(store, bits as u32)?),
                false => Held::Plain(bits),
            });
        }
        Ok(ThrownException { tag, ty, fields, held: held.into() })
    }

    /// Its values in the form of compiled code, valid until the next allocation.
    pub(crate) fn raw_fields(&self) -> Result<Vec<ValRaw>, NoMemory> {
        let mut fields = fallible::with_capacity(self.held.len())?;
        let raw = self.held.iter().map(|value| match value {
            Held::Plain(bits) => *bits,
            Held::Reference(reference) => u128::from(reference.raw()),
        });
        fields.extend(raw.map(|bits| ValRaw { v128: bits }));
        Ok(fields)
    }
}

impl fmt::Display for ThrownException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uncaught exception {}", Escaped::name(&self.ty.to_string()))
    }
}

impl fmt::Debug for ThrownException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ThrownException { tag, fields, .. } = self;
        f.debug_struct("ThrownException").field("tag", tag).field("fields", fields).finish()
    }
}

impl std::error::Error for ThrownException {}
