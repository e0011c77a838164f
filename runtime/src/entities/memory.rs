//! [`Memory`]: linear memory, a region of `seqfault-mm`.
//!
//! There is no way to a slice of it: other threads may write it, pages may be discarded. Hosts
//! copy in and out, or make a range present and hand its address to the system.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::{MemoryType, WASM_PAGE_SIZE};
use seqfault_jit::MEMORY64_GUARD;
use seqfault_jit::vm::VMMemory;
use seqfault_mm::{Access, Fault, Region, RegionOptions};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Address space for a 32-bit memory: the furthest that a 32-bit index, a 32-bit offset and the
/// widest access reach, so that compiled code needs no bounds checks.
const REACH32: usize = (8 << 30) + WASM_PAGE_SIZE;

/// The unit of what regions make accessible.
const HOST_PAGE: usize = 4096;

/// The address space of a memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct AddressSpace {
    /// What the memory can ever have.
    capacity: usize,
    /// What compiled code may reach, by whatever index. It is the same for all 64-bit memories of
    /// an engine: code compares with a constant.
    reach: usize,
}

impl AddressSpace {
    fn of(config: &Config, ty: MemoryType) -> AddressSpace {
        let (most, reach) = match ty.memory64 {
            true => {
                let reservation = config.tunables.memory64_reservation;
                (reservation, reservation.saturating_add(MEMORY64_GUARD) as usize)
            }
            false => (1 << 32, REACH32),
        };
        let pages = ty.maximum.unwrap_or(ty.addressable_pages()).min(ty.addressable_pages());
        let pages = pages.min(most >> ty.page_size_log2);
        AddressSpace { capacity: (pages << ty.page_size_log2) as usize, reach }
    }
}

/// A linear memory, in the store that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    store: StoreId,
    index: usize,
}

/// What a store keeps of a memory.
pub(crate) struct MemoryData {
    /// What compiled code reads.
    vm: VMMemory,
    region: Region,
    ty: MemoryType,
    /// Bytes that it can ever have.
    capacity: usize,
}

impl MemoryData {
    fn new(config: &Config, ty: MemoryType) -> Result<MemoryData> {
        let AddressSpace { capacity, reach } = AddressSpace::of(config, ty);
        let len = (ty.minimum << ty.page_size_log2) as usize;
        let maximum = capacity.next_multiple_of(WASM_PAGE_SIZE);
        let mut options = RegionOptions::new(maximum)
            .guard(reach - maximum)
            .accessible(len.next_multiple_of(HOST_PAGE))
            .speculation(config.speculation)
            .resident_limit(config.memory_resident_limit);
        if let Some(pager) = config.pager {
            options = options.pager(pager);
        }
        let region = options
            .build()
            .map_err(|error| Error::from(error).context("cannot reserve a linear memory"))?;
        let vm = VMMemory { base: region.base(), len: AtomicUsize::new(len) };
        Ok(MemoryData { vm, region, ty, capacity })
    }

    pub(crate) fn vm(&self) -> *const VMMemory {
        &self.vm
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.vm.base
    }

    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        // Acquire: pairs with the Release in `grow_to`.
        self.vm.len.load(Ordering::Acquire)
    }

    fn pages(&self) -> u64 {
        self.len() as u64 >> self.ty.page_size_log2
    }

    /// The type with the present size as its minimum: what imports are matched against.
    pub(crate) fn current_type(&self) -> MemoryType {
        MemoryType { minimum: self.pages(), ..self.ty }
    }

    fn grow_to(&self, len: usize) -> Result<(), seqfault_mm::Error> {
        self.region.grow(len.next_multiple_of(HOST_PAGE))?;
        // Release: whoever sees the new length finds the region grown.
        self.vm.len.store(len, Ordering::Release);
        Ok(())
    }

    /// `len` bytes from `start`, if they are all inside.
    pub(crate) fn range(&self, start: u64, len: u64) -> Option<Range<usize>> {
        match start.checked_add(len) {
            Some(end) if end <= self.len() as u64 => Some(start as usize..end as usize),
            _ => None,
        }
    }
}

/// The maximum that limiters are told, in bytes.
fn declared_maximum(ty: MemoryType, capacity: usize) -> Option<usize> {
    ty.maximum.map(|_| capacity)
}

/// A new memory, if the store's limiter agrees; its index.
///
/// # Safety
///
/// `store` must be a live store that nothing else borrows.
pub(crate) unsafe fn allocate_memory(store: *mut StoreOpaque, ty: MemoryType) -> Result<usize> {
    if ty.shared {
        return Err(Error::msg("shared memories are not supported"));
    }
    // SAFETY: the caller's promise.
    let AddressSpace { capacity, .. } = AddressSpace::of(unsafe { &*store }.engine().config(), ty);
    if ty.minimum > capacity as u64 >> ty.page_size_log2 {
        return Err(Error::msg(format!("{ty} can have {capacity} bytes at most")));
    }
    let len = (ty.minimum << ty.page_size_log2) as usize;
    let declared = declared_maximum(ty, capacity);
    // SAFETY: the caller's promise.
    if !unsafe { StoreOpaque::whole(store) }.memory_growing(0, len, declared)? {
        return Err(Error::msg(format!("the store's limiter refuses a memory of {len} bytes")));
    }
    // SAFETY: the caller's promise; the borrow above has ended.
    let store = unsafe { &mut *store };
    let memory = MemoryData::new(store.engine().config(), ty)?;
    Ok(store.add_memory(memory))
}

/// Grows a memory by `delta` pages: the old size in pages, or `None` if that may not be.
///
/// # Safety
///
/// As for [`allocate_memory`].
pub(crate) unsafe fn grow_memory(
    store: *mut StoreOpaque,
    index: usize,
    delta: u64,
) -> Result<Option<u64>> {
    // SAFETY: the caller's promise.
    let memory = unsafe { &*store }.memory(index);
    let (old, ty, capacity) = (memory.pages(), memory.ty, memory.capacity);
    let new = match old.checked_add(delta) {
        Some(new) if new <= capacity as u64 >> ty.page_size_log2 => new,
        _ => return Ok(None),
    };
    let bytes = |pages: u64| (pages << ty.page_size_log2) as usize;
    let (current, desired) = (bytes(old), bytes(new));
    // SAFETY: the caller's promise; no borrow is alive.
    let whole = unsafe { StoreOpaque::whole(store) };
    if !whole.memory_growing(current, desired, declared_maximum(ty, capacity))? {
        return Ok(None);
    }
    // SAFETY: as above.
    let memory = unsafe { &*store }.memory(index);
    // What the system refuses is, to the guest, a memory that cannot grow.
    Ok(memory.grow_to(desired).is_ok().then_some(old))
}

/// A range of a memory cannot be used.
#[derive(Clone, Debug)]
pub struct MemoryAccessError {
    offset: usize,
    len: usize,
    cause: Option<String>,
}

impl fmt::Display for MemoryAccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryAccessError { offset, len, cause } = self;
        let what = cause.as_deref().unwrap_or("out of bounds memory access");
        write!(f, "{what}: {len} bytes at {offset:#x}")
    }
}

impl std::error::Error for MemoryAccessError {}

impl Memory {
    /// A new memory.
    ///
    /// # Errors
    ///
    /// When the store's limiter refuses, or the system has no address space.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        // SAFETY: the store is borrowed mutably.
        let index = unsafe { allocate_memory(store, ty)? };
        Ok(Memory { store: store.id(), index })
    }

    /// Its type, as declared.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        self.get(store.as_context().opaque()).ty
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
        self.get(store.as_context().opaque()).region.resident()
    }

    /// Its first byte. Memories never move; what lies in it may change at any time while guests
    /// run, and pages that the host touches are faulted in like a guest's.
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
        let memory = self.get(store.as_context().opaque());
        memory.check(offset, buffer.len())?;
        let len = buffer.len();
        memory.region.read(offset, buffer).map_err(|fault| access_error(offset, len, fault))
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
        let memory = self.get(store.opaque());
        memory.check(offset, buffer.len())?;
        memory
            .region
            .write(offset, buffer)
            .map_err(|fault| access_error(offset, buffer.len(), fault))
    }

    /// Makes the pages of `range` present, so that the system may be given their addresses: it
    /// does not fault pages in itself, its calls fail with `EFAULT`.
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
        let memory = self.get(store.as_context().opaque());
        let (offset, len) = (range.start, range.len());
        if range.start > range.end {
            return Err(MemoryAccessError { offset, len, cause: Some("reversed range".into()) });
        }
        memory.check(offset, len)?;
        memory.region.fault_in(range, access).map_err(|fault| access_error(offset, len, fault))
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

impl MemoryData {
    fn check(&self, offset: usize, len: usize) -> Result<(), MemoryAccessError> {
        match self.range(offset as u64, len as u64) {
            Some(_) => Ok(()),
            None => Err(MemoryAccessError { offset, len, cause: None }),
        }
    }
}

fn access_error(offset: usize, len: usize, fault: Fault) -> MemoryAccessError {
    MemoryAccessError { offset, len, cause: Some(fault.to_string()) }
}
