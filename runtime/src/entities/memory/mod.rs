//! [`Memory`]: linear memory, a region of `seqfault-mm`.
//!
//! No slice of it is ever made: other threads may write it, and pages may be discarded. Hosts copy
//! in and out, or make a range present and give its address to the system.

pub(crate) mod builtins;
mod data;
mod error;
mod pool;
mod queue;
mod shared;
mod wait;

pub(crate) use data::{MemoryData, is_page_aligned};
pub use error::MemoryAccessError;
pub(crate) use pool::{FirstContents, PooledRegion, RegionPool, Shape};
pub use shared::SharedMemory;
pub use wait::WaitResult;
pub(crate) use wait::{Expected, Waited, WaitingStore, interrupt_waiter};

use crate::error::{Error, Result};
use crate::module::InitialMemory;
use crate::store::{
    AsContext, AsContextMut, Counted, RefusedByLimiter, StoreId, StoreOpaque, in_pieces,
};
use crate::trap::{TrapCode, TrapReason};
use crate::types::MemoryType;
use crate::vm;
use data::{Growth, Plan};
use seqfault_mm::Access;
use std::ops::Range;
use std::sync::Arc;

/// A linear memory, in the store that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    store: StoreId,
    index: usize,
}

/// A new memory, if the store's limiter agrees; its index. `initial` is what it starts with, if that is known already.
///
/// # Safety
///
/// `store` must be a live store that nothing else borrows.
pub(crate) unsafe fn allocate_memory(
    store: *mut StoreOpaque,
    ty: MemoryType,
    initial: Option<InitialMemory<'_>>,
) -> Result<usize> {
    // SAFETY: the caller's promise.
    let plan = Plan::new(unsafe { &*store }.engine().config(), ty)?;
    let len = plan.len;
    // SAFETY: the caller's promise, for all that follows: no borrow outlives its line.
    unsafe {
        StoreOpaque::check_count(store, Counted::Memories)?;
        if !StoreOpaque::whole(store).memory_growing(0, len, plan.declared_maximum())? {
            return Err(RefusedByLimiter::Memory { bytes: len }.into());
        }
        let made = MemoryData::new((*store).engine(), plan, initial)
            .and_then(|memory| Ok((*store).add_memory(Arc::new(memory))?));
        match made {
            Ok(index) => Ok(index),
            Err(error) => {
                if let Some(limiter) = StoreOpaque::whole(store).limiter() {
                    limiter.memory_grow_failed(0, len);
                }
                Err(error)
            }
        }
    }
}

/// Grows a memory by `delta` pages. Returns the old size in pages, or `None` if it may not grow.
///
/// # Safety
///
/// As for [`allocate_memory`].
pub(crate) unsafe fn grow_memory(
    store: *mut StoreOpaque,
    index: usize,
    delta: u64,
) -> Result<Option<u64>> {
    // SAFETY: the caller's promise; the memory lives as long as the store and is outside of it, so
    // borrowing the store does not touch it.
    let memory = unsafe { &*Arc::as_ptr((*store).memory(index)) };
    let (is_shared, maximum) = (memory.ty().shared, memory.declared_maximum());
    memory.grow(delta, |request| {
        // SAFETY: the caller's promise; no borrow of the store is alive.
        let Some(limiter) = unsafe { StoreOpaque::whole(store) }.limiter() else { return Ok(true) };
        match (request, is_shared) {
            (Growth::Asked { current, desired }, false) => {
                limiter.memory_growing(current, desired, maximum)
            }
            (Growth::Asked { current, desired }, true) => {
                limiter.shared_memory_growing(current, desired, maximum)
            }
            (Growth::Failed { current, desired }, is_shared) => {
                match is_shared {
                    true => limiter.shared_memory_grow_failed(current, desired),
                    false => limiter.memory_grow_failed(current, desired),
                }
                Ok(true)
            }
        }
    })
}

/// How many bytes a guest gives back before it may be interrupted: some milliseconds, if they are all present.
const DISCARDED_AT_ONCE: usize = 64 << 20;

/// `memory.discard`, if the store's limiter agrees. `number` is the guest's index of the memory.
///
/// # Safety
///
/// As for [`allocate_memory`].
pub(crate) unsafe fn discard_memory(
    store: *mut StoreOpaque,
    index: usize,
    number: u32,
    start: u64,
    len: u64,
) -> Result<()> {
    // SAFETY: as in `grow_memory`.
    let memory = unsafe { &*Arc::as_ptr((*store).memory(index)) };
    if !is_page_aligned(start) || !is_page_aligned(len) {
        return Err(TrapReason(TrapCode::UnalignedDiscard).into());
    }
    let range = memory.slice(Some(number), start, len)?;
    if range.is_empty() {
        return Ok(());
    }
    // SAFETY: the caller's promise; no borrow of the store is alive.
    if !unsafe { StoreOpaque::whole(store) }.memory_discarding(range.len())? {
        return Err(TrapReason(TrapCode::DiscardRefused).into());
    }
    let discard = |piece: Range<usize>| {
        let done = memory.region().discard(range.start + piece.start..range.start + piece.end);
        done.map_err(|error| Error::from(error).context("cannot discard a part of a memory"))
    };
    // SAFETY: the caller's promise; memories are outside of the store.
    unsafe { in_pieces(store, range.len(), DISCARDED_AT_ONCE, discard) }
}

impl Memory {
    /// A new memory.
    ///
    /// # Errors
    ///
    /// When the store's limiter refuses, or the system has no address space.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        vm::check_signals(store.engine().config())?;
        // SAFETY: the store is borrowed mutably.
        let index = unsafe { allocate_memory(store, ty, None)? };
        Ok(Memory { store: store.id(), index })
    }

    /// Its type, as declared.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        self.get(store.as_context().opaque()).ty()
    }

    /// Pages in it now, of the size that its type says.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.get(store.as_context().opaque()).pages()
    }

    /// Bytes in a page of it.
    pub fn page_size(&self, store: impl AsContext) -> u64 {
        self.ty(store).page_size()
    }

    /// Bytes in it now.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.get(store.as_context().opaque()).len()
    }

    /// Bytes of it that take up memory of the machine.
    pub fn resident(&self, store: impl AsContext) -> usize {
        self.get(store.as_context().opaque()).region().resident()
    }

    /// Its first byte. Memories never move. The contents may change at any time while guests run;
    /// pages that the host touches are faulted in like a guest's. A touch that a limit on resident memory or the
    /// engine's budget denies ends the process: [`read`](Self::read), [`write`](Self::write) and
    /// [`fault_in`](Self::fault_in) return an error instead.
    pub fn data_ptr(&self, store: impl AsContext) -> *mut u8 {
        self.get(store.as_context().opaque()).base()
    }

    /// Grows it by `delta` pages; the old size in pages.
    ///
    /// # Errors
    ///
    /// When its maximum or the store's limiter does not allow it.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        // SAFETY: the store is borrowed mutably.
        let old = unsafe { grow_memory(store, self.index, delta)? };
        old.ok_or_else(|| Error::msg(format!("the memory cannot grow by {delta} pages")))
    }

    /// Copies bytes from `offset` on into `buffer`.
    ///
    /// # Errors
    ///
    /// When the range is not inside, or a page of it cannot be made present.
    pub fn read(
        &self,
        store: impl AsContext,
        offset: usize,
        buffer: &mut [u8],
    ) -> Result<(), MemoryAccessError> {
        self.get(store.as_context().opaque()).read(offset, buffer)
    }

    /// Copies `buffer` to `offset`.
    ///
    /// # Errors
    ///
    /// When the range is not inside, or a page of it cannot be made present.
    pub fn write(
        &self,
        mut store: impl AsContextMut,
        offset: usize,
        buffer: &[u8],
    ) -> Result<(), MemoryAccessError> {
        let mut store = store.as_context_mut();
        self.get(store.opaque()).write(offset, buffer)
    }

    /// Makes the pages of `range` present, so that their addresses may be given to the system.
    /// System calls do not fault pages in: they fail with `EFAULT`.
    ///
    /// # Errors
    ///
    /// When the range is not inside, or a page of it cannot be made present.
    pub fn fault_in(
        &self,
        store: impl AsContext,
        range: Range<usize>,
        access: Access,
    ) -> Result<(), MemoryAccessError> {
        self.get(store.as_context().opaque()).fault_in(range, access)
    }

    /// Returns the memory behind `range`, which must be whole pages of 64 KiB, to the system. The
    /// range reads zero from then on, and counts as resident again only when it is touched.
    ///
    /// # Errors
    ///
    /// When the range is not inside or not whole pages, or the system refuses.
    pub fn discard(
        &self,
        mut store: impl AsContextMut,
        range: Range<usize>,
    ) -> Result<(), MemoryAccessError> {
        let mut store = store.as_context_mut();
        self.get(store.opaque()).discard(range)
    }

    fn get<'a>(&self, store: &'a StoreOpaque) -> &'a MemoryData {
        store.check(self.store);
        store.memory(self.index)
    }

    pub(crate) fn from_index(store: &StoreOpaque, index: usize) -> Memory {
        Memory { store: store.id(), index }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }
}
