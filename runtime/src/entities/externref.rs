//! [`ExternRef`]: a host value that guests can hold.

use crate::error::Result;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use std::any::Any;

/// A host value in a store. It lives as long as the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExternRef {
    store: StoreId,
    /// Never 0, which is null.
    number: u32,
}

impl ExternRef {
    /// Gives `value` to the store.
    ///
    /// # Errors
    ///
    /// When the store holds 2^32 - 1 values already.
    pub fn new<T: Any + Send + Sync>(mut store: impl AsContextMut, value: T) -> Result<ExternRef> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let number = store.add_externref(Box::new(value))?;
        Ok(ExternRef { store: store.id(), number })
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// When `store` is not the one that the value was given to.
    pub fn data<'a, C: AsContext + 'a>(&self, store: &'a C) -> &'a (dyn Any + Send + Sync) {
        let store = store.as_context().opaque();
        store.check(self.store);
        store.externref(self.number)
    }

    pub(crate) fn from_number(store: &StoreOpaque, number: u32) -> Option<ExternRef> {
        (number != 0).then_some(ExternRef { store: store.id(), number })
    }

    /// The number that stands for the value in compiled code.
    pub(crate) fn number(self, store: &StoreOpaque) -> u32 {
        store.check(self.store);
        self.number
    }
}
