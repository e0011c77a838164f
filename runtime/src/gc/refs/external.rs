//! [`ExternRef`].

use super::AnyRef;
use crate::error::Result;
use crate::gc::heap::RawRef;
use crate::gc::rooting::Rooted;
use crate::store::{AsContext, AsContextMut, StoreOpaque};
use seqfault_jit::gc::{HEADER_SIZE, I31_TAG};
use seqfault_jit::vm::HOST_OBJECT;
use std::any::Any;

/// A value from outside: one of the host, or a converted value of WebAssembly's.
///
/// The host's value is dropped by a collection after its last reference is gone.
#[derive(Debug)]
pub enum ExternRef {}

/// Bytes of the object that stands for a host value: its header and the index of the value.
const SIZE: u64 = HEADER_SIZE as u64 + 8;

impl ExternRef {
    /// Gives `value` to the store.
    ///
    /// # Errors
    ///
    /// When the heap is full, or the system has no memory.
    pub fn new<T: Any + Send + Sync>(
        mut store: impl AsContextMut,
        value: T,
    ) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        // SAFETY: the store is borrowed mutably, and no raw reference is held.
        let object = unsafe { crate::gc::allocate(store, HOST_OBJECT, SIZE, 0)? };
        let heap = store.gc_heap_mut();
        let place = heap.host_data.insert(Box::new(value))?;
        heap.write::<u32>(object, HEADER_SIZE, place);
        Ok(Rooted::new(store, object))
    }

    /// `extern.convert_any`: the same reference as an [`ExternRef`].
    pub fn convert_any(value: Rooted<AnyRef>) -> Rooted<ExternRef> {
        value.cast()
    }
}

impl Rooted<ExternRef> {
    /// The host's value, or `None` if it is a converted value of WebAssembly's.
    ///
    /// # Errors
    ///
    /// When it is of another store, or its scope has ended.
    pub fn data<'a, C: AsContext<Data: 'a> + 'a>(
        &self,
        store: &'a C,
    ) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        let store = store.as_context().opaque();
        let place = place(store, self.raw(store)?);
        Ok(place.map(|place| store.gc_heap().expect("there is an object").host_data.get(place)))
    }

    /// As [`Rooted::data`], mutable.
    ///
    /// # Errors
    ///
    /// As [`Rooted::data`].
    pub fn data_mut<'a, C: AsContextMut<Data: 'a> + 'a>(
        &self,
        store: &'a mut C,
    ) -> Result<Option<&'a mut (dyn Any + Send + Sync)>> {
        let store: *mut StoreOpaque = store.as_context_mut().opaque();
        // SAFETY: borrowed from `store` for as long as the result lives.
        let store = unsafe { &mut *store };
        let place = place(store, self.raw(store)?);
        Ok(place.map(|place| store.gc_heap_mut().host_data.get_mut(place)))
    }
}

/// The index of a host value in the heap's table.
fn place(store: &StoreOpaque, reference: RawRef) -> Option<u32> {
    if reference & I31_TAG != 0 {
        return None;
    }
    let heap = store.gc_heap().expect("there is an object");
    (heap.type_of(reference) == HOST_OBJECT).then(|| heap.read(reference, HEADER_SIZE))
}
