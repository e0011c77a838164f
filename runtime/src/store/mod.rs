//! [`Store`]: all parts of instances, and the embedder's data.
//!
//! A store owns its instances, memories, tables, globals and host functions until it is dropped.
//! The embedder holds handles ([`Func`](crate::Func), [`Memory`](crate::Memory), ...), which are
//! valid only with their own store. Compiled code holds raw pointers to the store's parts, so each
//! part is boxed and never moves. The parts that it reads and writes are
//! [`Shared`](crate::vm::Shared): no reference reaches into them.

mod arena;
pub(crate) mod builtins;
mod context;
mod data;
mod epoch;
mod exceptions;
mod fault;
mod limits;
mod pieces;

pub use context::{AsContext, AsContextMut, StoreContext, StoreContextMut};
// Named in signatures of traits that only this crate implements.
#[allow(unreachable_pub, reason = "public only by name, in hidden methods")]
pub use data::StoreOpaque;
pub(crate) use data::{Pending, StoreId};
pub use epoch::UpdateDeadline;
pub use limits::{RefusedByLimiter, ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub(crate) use pieces::{Kept, in_pieces, piece_of};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gc::{ExnRef, GcHeap, Rooted};
use crate::interrupt::InterruptHandle;
use epoch::EpochBehaviour;

/// A store with an embedder's data of type `T`.
pub struct Store<T: 'static> {
    inner: Box<StoreInner<T>>,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data", &self.inner.data).finish_non_exhaustive()
    }
}

/// A store as its own code sees it. `opaque` comes first: a pointer to one is also a pointer to the
/// other.
#[repr(C)]
pub(crate) struct StoreInner<T: 'static> {
    opaque: StoreOpaque,
    limiter: Option<LimiterOf<T>>,
    epoch: EpochBehaviour<T>,
    data: T,
}

type LimiterOf<T> = Box<dyn (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync>;

/// What the parts of a store that do not depend on `T` ask of the whole.
pub(crate) trait WholeStore {
    /// The limiter, if the embedder has set one.
    fn limiter(&mut self) -> Option<&mut dyn ResourceLimiter>;
    /// The deadline is reached: sets a new one, or says why the guest must stop.
    fn new_epoch(&mut self) -> Result<()>;
}

impl<T: 'static> Store<T> {
    /// A store of `engine` that holds `data`.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        let inner = Box::new(StoreInner {
            opaque: StoreOpaque::new::<T>(engine),
            limiter: None,
            epoch: EpochBehaviour::Trap,
            data,
        });
        Store { inner }
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        self.inner.opaque.engine()
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.inner.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.data
    }

    /// Drops the store and returns the embedder's data.
    pub fn into_data(self) -> T {
        let StoreInner { opaque, data, .. } = *self.inner;
        drop(opaque);
        data
    }

    /// Collects the store's heap: drops unreachable objects, and returns the memory that is then
    /// free to the system.
    ///
    /// # Errors
    ///
    /// When the system has no memory for the copies of the other objects.
    pub fn gc(&mut self) -> Result<()> {
        self.as_context_mut().gc()
    }

    /// Bytes of the heap that are resident. With [`PagerKind::Eager`](crate::PagerKind::Eager),
    /// where the kernel brings pages unnoticed, bytes that may be resident.
    pub fn gc_heap_resident(&self) -> usize {
        self.inner.opaque.gc_heap().map_or(0, GcHeap::resident)
    }

    /// How many collections there were.
    pub fn gc_collections(&self) -> u64 {
        self.inner.opaque.gc_heap().map_or(0, GcHeap::collections)
    }

    /// Sets the limiter: it decides how far memories and tables may grow from now on.
    pub fn limiter(
        &mut self,
        limiter: impl (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync + 'static,
    ) {
        self.inner.limiter = Some(Box::new(limiter));
    }

    /// Returns the exception as an error. A host function that returns this error throws the
    /// exception.
    ///
    /// # Errors
    ///
    /// Always.
    ///
    /// # Panics
    ///
    /// When the exception is of another store.
    pub fn throw<R>(&mut self, exception: Rooted<ExnRef>) -> Result<R> {
        self.as_context_mut().throw(exception)
    }

    /// Lets the guest run until the engine's epoch has advanced `ticks` from now. Without a call of
    /// this there is no deadline.
    ///
    /// Needs [`Config::epoch_interruption`](crate::Config::epoch_interruption).
    pub fn set_epoch_deadline(&mut self, ticks: u64) {
        self.inner.opaque.set_epoch_deadline(ticks);
    }

    /// A handle that interrupts the store's guest, from any thread.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle::new(self.inner.opaque.interrupt())
    }

    /// At the deadline the guest traps. This is the default.
    pub fn epoch_deadline_trap(&mut self) {
        self.inner.epoch = EpochBehaviour::Trap;
    }

    /// At the deadline `callback` decides: continue until a new deadline, or stop with an error.
    ///
    /// Wasm that the callback calls has no deadline.
    pub fn epoch_deadline_callback(
        &mut self,
        callback: impl FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync + 'static,
    ) {
        self.inner.epoch = EpochBehaviour::Callback(Box::new(callback));
    }
}

/// The kinds of parts that are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    Instances,
    Tables,
    Memories,
}

impl dyn WholeStore {
    /// Asks the embedder about a growing memory; sizes in bytes.
    pub(crate) fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        max: Option<usize>,
    ) -> Result<bool> {
        self.limiter().map_or(Ok(true), |limiter| limiter.memory_growing(current, desired, max))
    }

    /// Asks the embedder about a growing table; sizes in elements.
    pub(crate) fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        max: Option<usize>,
    ) -> Result<bool> {
        self.limiter().map_or(Ok(true), |limiter| limiter.table_growing(current, desired, max))
    }

    /// Asks the embedder about a part of a memory that the guest gives back, in bytes.
    pub(crate) fn memory_discarding(&mut self, bytes: usize) -> Result<bool> {
        self.limiter().map_or(Ok(true), |limiter| limiter.memory_discarding(bytes))
    }

    /// An error if a store that has `present` of them may have no more.
    pub(crate) fn check_count(&mut self, counted: Counted, present: usize) -> Result<()> {
        let Some(limiter) = self.limiter() else { return Ok(()) };
        let (most, what) = match counted {
            Counted::Instances => (limiter.instances(), "instances"),
            Counted::Tables => (limiter.tables(), "tables"),
            Counted::Memories => (limiter.memories(), "memories"),
        };
        match present < most {
            true => Ok(()),
            false => Err(Error::msg(format!("the store's limit of {most} {what} is reached"))),
        }
    }
}

impl<T: 'static> WholeStore for StoreInner<T> {
    fn limiter(&mut self) -> Option<&mut dyn ResourceLimiter> {
        let limiter = self.limiter.as_mut()?;
        Some(limiter(&mut self.data))
    }

    fn new_epoch(&mut self) -> Result<()> {
        epoch::deadline_reached(self)
    }
}
