//! How the host holds references: by handles that the collector knows.
//!
//! A [`Rooted`] names an entry of a stack in the store. When a call of a host function or a
//! [`RootScope`] ends, the entries made in it are removed. Using a handle after that is an error,
//! which is noticed because entries have a generation. An [`OwnedRooted`] has a cell of its own,
//! which the store visits as long as the handle exists.

use super::heap::RawRef;
use crate::error::{Error, Result};
use crate::fallible::{self, NoMemory};
use crate::store::{AsContext, AsContextMut, StoreContext, StoreContextMut, StoreId, StoreOpaque};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A kind of references into the heap: [`AnyRef`](crate::AnyRef) and its like.
pub trait GcRef: private::Sealed + 'static {}

pub(super) mod private {
    pub trait Sealed {}
}

/// A reference that the host holds until its scope ends: that of the host function that was called,
/// of a [`RootScope`], or of the store.
///
/// It may be used only with its store and within its scope; otherwise there is an error.
pub struct Rooted<T: GcRef> {
    store: StoreId,
    index: u32,
    generation: u64,
    kind: PhantomData<fn() -> T>,
}

impl<T: GcRef> Clone for Rooted<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: GcRef> Copy for Rooted<T> {}

impl<T: GcRef> fmt::Debug for Rooted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rooted({})", self.index)
    }
}

/// A reference that the host holds for any time.
pub struct OwnedRooted<T: GcRef> {
    store: StoreId,
    cell: Arc<AtomicU32>,
    kind: PhantomData<fn() -> T>,
}

impl<T: GcRef> Clone for OwnedRooted<T> {
    fn clone(&self) -> Self {
        OwnedRooted { store: self.store, cell: Arc::clone(&self.cell), kind: PhantomData }
    }
}

impl<T: GcRef> fmt::Debug for OwnedRooted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnedRooted")
    }
}

/// The references of a store that the host holds.
#[derive(Debug, Default)]
pub(crate) struct RootSet {
    stack: Vec<Entry>,
    /// The generation of new entries; changes when entries are removed.
    generation: u64,
    owned: Vec<Arc<AtomicU32>>,
}

#[derive(Debug)]
struct Entry {
    reference: RawRef,
    generation: u64,
}

impl RootSet {
    /// How many entries the stack has, for [`RootSet::truncate`].
    pub(crate) fn height(&self) -> usize {
        self.stack.len()
    }

    /// Removes the entries above `height`.
    pub(crate) fn truncate(&mut self, height: usize) {
        if self.stack.len() > height {
            self.stack.truncate(height);
            self.generation += 1;
        }
    }

    /// Pushes a reference; returns its place.
    pub(crate) fn push(&mut self, reference: RawRef) -> usize {
        self.stack.push(Entry { reference, generation: self.generation });
        self.stack.len() - 1
    }

    /// The same, or an error when the system has no memory.
    pub(crate) fn try_push(&mut self, reference: RawRef) -> Result<usize, NoMemory> {
        fallible::reserve(&mut self.stack, 1)?;
        Ok(self.push(reference))
    }

    /// The reference at a place of the stack.
    pub(crate) fn at(&self, place: usize) -> RawRef {
        self.stack[place].reference
    }

    /// Visits a cell from now on, as long as its handle exists.
    fn own(&mut self, cell: Arc<AtomicU32>) -> Result<(), NoMemory> {
        if self.owned.len() == self.owned.capacity() {
            self.forget_unused();
            // Not again before the number has doubled, so that the cost for each is small.
            let more = self.owned.len() + 1;
            fallible::reserve(&mut self.owned, more)?;
        }
        self.owned.push(cell);
        Ok(())
    }

    /// Drops cells that nothing else refers to: their handles are gone.
    fn forget_unused(&mut self) {
        self.owned.retain(|cell| Arc::strong_count(cell) > 1);
    }

    /// Calls `visit` with each reference.
    pub(crate) fn visit(&mut self, visit: &mut dyn FnMut(*mut RawRef)) {
        for entry in &mut self.stack {
            visit(&mut entry.reference);
        }
        self.forget_unused();
        for cell in &self.owned {
            let mut reference = cell.load(Ordering::Relaxed);
            visit(&mut reference);
            // Relaxed: the next borrower of the store reads it.
            cell.store(reference, Ordering::Relaxed);
        }
    }
}

/// A reference of any kind that is held without a scope.
#[derive(Clone, Debug)]
pub(crate) struct HeldRef(Arc<AtomicU32>);

impl HeldRef {
    /// Holds a reference.
    pub(crate) fn new(store: &mut StoreOpaque, reference: RawRef) -> Result<HeldRef, NoMemory> {
        let cell = Arc::new(AtomicU32::new(reference));
        store.roots_mut().own(Arc::clone(&cell))?;
        Ok(HeldRef(cell))
    }

    /// The reference, valid until the next allocation.
    pub(crate) fn raw(&self) -> RawRef {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: GcRef> Rooted<T> {
    /// Roots a reference, which must be a `T`, in the store's present scope.
    pub(crate) fn new(store: &mut StoreOpaque, reference: RawRef) -> Rooted<T> {
        let id = store.id();
        let roots = store.roots_mut();
        // A stack of 2^32 entries would take 64 GiB.
        let index = roots.push(reference) as u32;
        Rooted { store: id, index, generation: roots.generation, kind: PhantomData }
    }

    /// As [`Rooted::new`], but `None` of null.
    pub(crate) fn from_raw(store: &mut StoreOpaque, reference: RawRef) -> Option<Rooted<T>> {
        (reference != 0).then(|| Rooted::new(store, reference))
    }

    /// The reference itself, valid until the next allocation.
    pub(crate) fn raw(&self, store: &StoreOpaque) -> Result<RawRef> {
        if self.store != store.id() {
            return Err(Error::msg("a reference used with another store than its own"));
        }
        match store.roots().stack.get(self.index as usize) {
            Some(entry) if entry.generation == self.generation => Ok(entry.reference),
            _ => Err(Error::msg("a reference used after the scope that it was rooted in")),
        }
    }

    /// The same handle as another kind, which the reference must have.
    pub(super) fn cast<U: GcRef>(self) -> Rooted<U> {
        let Rooted { store, index, generation, .. } = self;
        Rooted { store, index, generation, kind: PhantomData }
    }

    /// A handle that does not depend on a scope.
    ///
    /// # Errors
    ///
    /// When this handle is of another store, or its scope has ended.
    pub fn to_owned_rooted(&self, mut store: impl AsContextMut) -> Result<OwnedRooted<T>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let cell = Arc::new(AtomicU32::new(self.raw(store)?));
        store.roots_mut().own(Arc::clone(&cell))?;
        Ok(OwnedRooted { store: store.id(), cell, kind: PhantomData })
    }

    /// Whether both refer to the same object, or are the same `i31`.
    ///
    /// # Errors
    ///
    /// When one is of another store, or its scope has ended.
    pub fn ref_eq(store: impl AsContext, a: &Rooted<T>, b: &Rooted<T>) -> Result<bool> {
        let store = store.as_context().opaque();
        Ok(a.raw(store)? == b.raw(store)?)
    }
}

impl<T: GcRef> OwnedRooted<T> {
    /// A handle for the store's present scope.
    ///
    /// # Errors
    ///
    /// When it is of another store.
    pub fn to_rooted(&self, mut store: impl AsContextMut) -> Result<Rooted<T>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        if self.store != store.id() {
            return Err(Error::msg("a reference used with another store than its own"));
        }
        Ok(Rooted::new(store, self.cell.load(Ordering::Relaxed)))
    }
}

/// A scope: references that are rooted through it are released when it is dropped.
pub struct RootScope<C: AsContextMut> {
    store: C,
    height: usize,
}

impl<C: AsContextMut> fmt::Debug for RootScope<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootScope").field("height", &self.height).finish_non_exhaustive()
    }
}

impl<C: AsContextMut> RootScope<C> {
    /// Opens a scope.
    pub fn new(mut store: C) -> RootScope<C> {
        let height = store.as_context_mut().opaque().roots().height();
        RootScope { store, height }
    }
}

impl<C: AsContextMut> AsContext for RootScope<C> {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        self.store.as_context()
    }
}

impl<C: AsContextMut> AsContextMut for RootScope<C> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        self.store.as_context_mut()
    }
}

impl<C: AsContextMut> Drop for RootScope<C> {
    fn drop(&mut self) {
        self.store.as_context_mut().opaque().roots_mut().truncate(self.height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, ExternRef, Store};

    #[test]
    fn handles_that_are_gone_take_no_room_until_the_next_collection() -> Result<()> {
        let mut store = Store::new(&Engine::default(), ());
        let reference = ExternRef::new(&mut store, 7u8)?;
        let kept: Vec<_> =
            (0..100).map(|_| reference.to_owned_rooted(&mut store)).collect::<Result<_>>()?;
        for _ in 0..100_000 {
            reference.to_owned_rooted(&mut store)?;
        }
        let room = store.as_context_mut().opaque().roots().owned.capacity();
        assert!((kept.len()..1000).contains(&room), "{room}");
        assert_eq!(store.gc_collections(), 0);
        store.gc()?;
        for handle in kept {
            let handle = handle.to_rooted(&mut store)?;
            assert!(Rooted::ref_eq(&store, &handle, &reference)?);
        }
        Ok(())
    }
}
