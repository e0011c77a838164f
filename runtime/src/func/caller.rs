//! [`Caller`]: what a host function knows of its caller.

use crate::engine::Engine;
use crate::instance::{Extern, InstanceData};
use crate::store::StoreContextMut;
use std::ptr::NonNull;

/// The store that a host function runs in, and the instance that called it.
#[derive(Debug)]
pub struct Caller<'a, T: 'static> {
    pub(crate) store: StoreContextMut<'a, T>,
    /// `None` if the host itself called.
    instance: Option<NonNull<InstanceData>>,
}

impl<'a, T: 'static> Caller<'a, T> {
    pub(crate) fn new(
        store: StoreContextMut<'a, T>,
        instance: Option<NonNull<InstanceData>>,
    ) -> Caller<'a, T> {
        Caller { store, instance }
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// An export of the calling instance. `None` if there is none, and if the host itself called.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        // SAFETY: instances live as long as their store, which this borrows.
        let instance = unsafe { self.instance?.as_ref() };
        instance.export(self.store.opaque(), name)
    }
}
