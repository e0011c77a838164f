//! The exception that is being thrown in a store.
//!
//! During the search for a handler, the values of the exception are in a buffer of the store, which
//! keeps its address until the next throw: a handler reads them first of all. An object is made
//! only when a handler asks for a reference. Until the handler is entered, the references in the
//! buffer are roots.

use crate::entities::references_of;
use crate::fallible::{self, NoMemory};
use crate::gc::RawRef;
use seqfault_jit::vm::{VMTag, ValRaw};
use std::ptr::NonNull;

/// The values of the exception that was thrown last.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    thrown: Vec<ValRaw>,
    /// Its tag, until the handler has the values.
    tag: Option<NonNull<VMTag>>,
}

impl Exceptions {
    /// Copies the values of an exception with this tag that is being thrown.
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

    /// The same for a list from [`Exceptions::take_list`].
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

    /// Its values.
    pub(crate) fn values(&self) -> &[ValRaw] {
        &self.thrown
    }

    /// Gives the values to a handler, which reads them before anything else happens: from now on a
    /// collection does not update them.
    pub(crate) fn hand_over(&mut self) -> *const ValRaw {
        self.tag = None;
        self.thrown.as_ptr()
    }

    /// Calls `visit` with every reference into the heap among the values.
    pub(super) fn visit(&mut self, visit: &mut dyn FnMut(*mut RawRef)) {
        let Some(tag) = self.tag else { return };
        // SAFETY: a tag of the store that this is a part of.
        for &index in unsafe { references_of(tag) } {
            // Little-endian: the reference comes first.
            visit((&raw mut self.thrown[index]).cast());
        }
    }
}
