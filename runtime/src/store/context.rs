//! Borrowed stores, which the functions of the API take.

use super::{Store, StoreInner, StoreOpaque};
use crate::engine::Engine;
use crate::error::Result;
use crate::exception::ThrownException;
use crate::func::Caller;
use crate::gc::{ExnRef, Rooted};
use crate::interrupt::InterruptHandle;

/// A store, borrowed for reading.
pub struct StoreContext<'a, T: 'static>(pub(crate) &'a StoreInner<T>);

/// A store, borrowed for changing.
pub struct StoreContextMut<'a, T: 'static>(pub(crate) &'a mut StoreInner<T>);

impl<T> std::fmt::Debug for StoreContext<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreContext")
    }
}

impl<T> std::fmt::Debug for StoreContextMut<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreContextMut")
    }
}

/// A type that contains or borrows a store.
pub trait AsContext {
    /// The embedder's data in the store.
    type Data: 'static;
    /// The store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// A type that contains or mutably borrows a store.
pub trait AsContextMut: AsContext {
    /// The store.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<'a, T> StoreContext<'a, T> {
    /// The embedder's data.
    pub fn data(&self) -> &'a T {
        &self.0.data
    }

    /// The engine of the store.
    pub fn engine(&self) -> &'a Engine {
        self.0.opaque.engine()
    }

    pub(crate) fn opaque(&self) -> &'a StoreOpaque {
        &self.0.opaque
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        self.0.opaque.engine()
    }

    /// As [`Store::gc`].
    ///
    /// # Errors
    ///
    /// As [`Store::gc`].
    pub fn gc(&mut self) -> Result<()> {
        // SAFETY: the store is borrowed mutably. If its wasm has called a host function, that was
        // entered through a trampoline, which records the frame, and holds only rooted references.
        unsafe { crate::gc::collect_and_release(self.opaque()) }
    }

    /// As [`Store::interrupt_handle`].
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle::new(self.0.opaque.interrupt())
    }

    /// As [`Store::set_epoch_deadline`].
    pub fn set_epoch_deadline(&mut self, ticks: u64) {
        self.0.opaque.set_epoch_deadline(ticks);
    }

    /// As [`Store::throw`].
    ///
    /// # Errors
    ///
    /// Always.
    pub fn throw<R>(&mut self, exception: Rooted<ExnRef>) -> Result<R> {
        let (tag, fields) = (exception.tag(&*self)?, exception.fields(&mut *self)?);
        Err(ThrownException::from_parts(self.opaque(), tag, fields.into())?.into())
    }

    pub(crate) fn opaque(&mut self) -> &mut StoreOpaque {
        &mut self.0.opaque
    }

    pub(crate) fn opaque_ref(&self) -> &StoreOpaque {
        &self.0.opaque
    }
}

impl<T> AsContext for Store<T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.inner)
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.inner)
    }
}

impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}
