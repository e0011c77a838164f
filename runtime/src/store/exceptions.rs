//! The exception that is on its way in a store.
//!
//! While a handler is being looked for, what the exception carries lies in a buffer of the store,
//! which stays where it is until the next throw: handlers read it first of all. An object of the heap
//! is made only when a handler asks for a reference; until it has been entered the references in the
//! buffer are roots.

use crate::entities::references_of;
use crate::fallible::{self, NoMemory};
use crate::gc::RawRef;
use seqfault_jit::vm::{VMTag, ValRaw};
use std::ptr::NonNull;

/// What the exception that was thrown last carries.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    thrown: Vec<ValRaw>,
    /// Its tag, until the handler has the values.
    tag: Option<NonNull<VMTag>>,
}

impl Exceptions {
    /// Takes over what an exception with this tag carries that is being thrown.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(crate) fn set(&mut self, tag: NonNull<VMTag>, values: &[ValRaw]) -> Result<(), NoMemory> {
        self.thrown.clear();
        fallible::reserve(&mut self.thrown, values.len())?;
        self.thrown.extend_from_slice(values);
        self.tag = Some(tag);
        Ok(())
    }

    /// The same for a list that [`Exceptions::take_list`] has given.
    pub(crate) fn set_list(&mut self, tag: NonNull<VMTag>, values: Vec<ValRaw>) {
        self.thrown = values;
        self.tag = Some(tag);
    }

    /// An empty list with room for `count` values.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(crate) fn take_list(&mut self, count: usize) -> Result<Vec<ValRaw>, NoMemory> {
        self.tag = None;
        let mut list = std::mem::take(&mut self.thrown);
        list.clear();
        fallible::reserve(&mut list, count)?;
        Ok(list)
    }

    /// What it carries.
    pub(crate) fn values(&self) -> &[ValRaw] {
        &self.thrown
    }

    /// Hands the values to a handler, which reads them before anything else happens: from now on
    /// they are not kept up to date.
    pub(crate) fn hand_over(&mut self) -> *const ValRaw {
        self.tag = None;
        self.thrown.as_ptr()
    }

    /// Calls `visit` with every reference of the heap among the values.
    pub(super) fn visit(&mut self, visit: &mut dyn FnMut(*mut RawRef)) {
        let Some(tag) = self.tag else { return };
        // SAFETY: a tag of the store that this is a part of.
        for &index in unsafe { references_of(tag) } {
            // Little-endian: the reference comes first.
            visit((&raw mut self.thrown[index]).cast());
        }
    }
}
