//! [`MemoryData`]: a linear memory itself, behind the handles of stores and hosts.
//!
//! A shared memory belongs to all stores that import it, and any number of threads may use it at
//! once. So nothing here takes `&mut self`: the length is atomic and only rises, writers of it
//! exclude each other, readers take no lock.

use super::MemoryAccessError;
use super::pool::{FirstContents, PooledRegion, Shape};
use crate::config::Config;
use crate::engine::{self, Engine, Scarcity};
use crate::error::{Error, Result};
use crate::module::InitialMemory;
use crate::trap::MemoryFault;
use crate::types::{MemoryType, WASM_PAGE_SIZE};
use seqfault_jit::process::Lock;
use seqfault_jit::vm::{MemoryReach, VMMemory};
use seqfault_mm::{Access, DisplacedHandlers, PAGE_SIZE, Region, RegionOptions};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The address space of a memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct AddressSpace {
    /// The most bytes that the memory can ever have.
    capacity: usize,
    /// The bytes that compiled code may reach, by any index.
    reach: usize,
}

impl AddressSpace {
    fn of(config: &Config, ty: MemoryType) -> AddressSpace {
        let reach = MemoryReach::of(ty.memory64, &config.tunables);
        let pages = ty.maximum.unwrap_or(ty.addressable_pages()).min(ty.addressable_pages());
        let pages = pages.min(reach.end() >> ty.page_size_log2);
        let capacity = (pages << ty.page_size_log2) as usize;
        AddressSpace { capacity, reach: reach.total() as usize }
    }
}

/// The layout of a new memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    ty: MemoryType,
    space: AddressSpace,
    /// The initial bytes.
    pub(super) len: usize,
}

impl Plan {
    /// # Errors
    ///
    /// When the minimum is more than a memory can have here.
    pub(super) fn new(config: &Config, ty: MemoryType) -> Result<Plan> {
        let space = AddressSpace::of(config, ty);
        if ty.minimum > space.capacity as u64 >> ty.page_size_log2 {
            return Err(Error::msg(format!("{ty} can have {} bytes at most", space.capacity)));
        }
        Ok(Plan { ty, space, len: (ty.minimum << ty.page_size_log2) as usize })
    }

    /// The maximum in bytes, as limiters are told.
    pub(super) fn declared_maximum(&self) -> Option<usize> {
        declared_maximum(self.ty, self.space.capacity)
    }
}

/// What the limiter of a memory is told, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Growth {
    /// The memory is about to grow.
    Asked { current: usize, desired: usize },
    /// It was allowed to grow, and has not.
    Failed { current: usize, desired: usize },
}

/// A linear memory.
pub(crate) struct MemoryData {
    /// The part that compiled code reads.
    vm: VMMemory,
    region: PooledRegion,
    ty: MemoryType,
    /// The most bytes that it can ever have.
    capacity: usize,
    has_data: bool,
    /// Held while the length changes; never while code of the embedder runs.
    growing: Lock<()>,
}

// SAFETY: the raw pointer in `vm` points into the region, which many threads may use; the pointer
// itself never changes.
unsafe impl Send for MemoryData {}
// SAFETY: as above; all that changes is atomic or behind the region's own locks.
unsafe impl Sync for MemoryData {}

impl MemoryData {
    /// `initial` is what it starts with, if that is known already.
    pub(super) fn new(
        engine: &Engine,
        plan: Plan,
        initial: Option<InitialMemory<'_>>,
    ) -> Result<MemoryData> {
        let Plan { ty, space: AddressSpace { capacity, reach }, len } = plan;
        let config = engine.config();
        let largest = config.scarcity.map_or(usize::MAX, Scarcity::largest_memory);
        let maximum = capacity.min(largest.max(len)).next_multiple_of(WASM_PAGE_SIZE);
        let shape = Shape {
            extent: (maximum, reach - maximum),
            accessible: len.next_multiple_of(PAGE_SIZE),
            contents: initial.map_or(FirstContents::Zero, InitialMemory::contents),
        };
        let options = || {
            RegionOptions::new(maximum)
                .guard(reach - maximum)
                .reserve_ahead(config.scarcity.is_none())
                .accessible(len.next_multiple_of(PAGE_SIZE))
                .speculation(config.speculation)
                .resident_limit(config.memory_resident_limit)
                .budget(engine.budget())
                .huge_pages(config.memory_huge_pages)
                .pager(config.pager)
                // The maker of the memory has already checked.
                .displaced_handlers(DisplacedHandlers::Ignore)
        };
        let attach = |region: &Region| initial.is_none_or(|initial| initial.attach(region));
        let region = PooledRegion::new(engine.regions(), shape, || options().build(), attach)
            .map_err(|error| engine::refused(error, "cannot reserve a linear memory"))?;
        let vm = VMMemory { base: region.base(), len: AtomicUsize::new(len) };
        let has_data = initial.is_some() && region.is_as_asked();
        Ok(MemoryData { vm, region, ty, capacity, has_data, growing: Lock::new(()) })
    }

    /// Whether it was made with the data that its module has for it.
    pub(crate) fn has_data(&self) -> bool {
        self.has_data
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

    /// Its type, as declared.
    pub(crate) fn ty(&self) -> MemoryType {
        self.ty
    }

    /// Bytes. Takes no lock.
    pub(crate) fn len(&self) -> usize {
        // SeqCst: in one order with `lengthen` and the guest's atomic accesses, as the threads
        // proposal asks; it includes the Acquire that pairs with the Release there.
        self.vm.len.load(Ordering::SeqCst)
    }

    pub(super) fn pages(&self) -> u64 {
        self.len() as u64 >> self.ty.page_size_log2
    }

    /// The type with the present size as its minimum: imports are matched against it.
    pub(crate) fn current_type(&self) -> MemoryType {
        MemoryType { minimum: self.pages(), ..self.ty }
    }

    /// Grows by `delta` pages if `limiter` agrees. Returns the old size in pages, or `None` if it
    /// may not grow.
    ///
    /// `limiter` is called without a lock held, and called again when another thread was faster.
    pub(super) fn grow(
        &self,
        delta: u64,
        mut limiter: impl FnMut(Growth) -> Result<bool>,
    ) -> Result<Option<u64>> {
        loop {
            let old = self.pages();
            let new = match old.checked_add(delta) {
                Some(new) if new <= self.capacity as u64 >> self.ty.page_size_log2 => new,
                _ => return Ok(None),
            };
            let bytes = |pages: u64| (pages << self.ty.page_size_log2) as usize;
            let (current, desired) = (bytes(old), bytes(new));
            if !limiter(Growth::Asked { current, desired })? {
                return Ok(None);
            }
            let done = self.lengthen(current, desired);
            if let Some(Ok(())) = done {
                return Ok(Some(old));
            }
            limiter(Growth::Failed { current, desired })?;
            // If the system refuses, the guest sees a memory that cannot grow.
            if done.is_some() {
                return Ok(None);
            }
        }
    }

    /// Grows from `current` to `desired` bytes; `None` if the size is no longer `current`.
    fn lengthen(&self, current: usize, desired: usize) -> Option<Result<(), seqfault_mm::Error>> {
        let _held = self.growing.lock();
        // Relaxed: it changes under the lock only.
        if self.vm.len.load(Ordering::Relaxed) != current {
            return None;
        }
        let grow = || self.region.grow(desired.next_multiple_of(PAGE_SIZE));
        let grown = grow().or_else(|error| {
            let again = error.errno() == Some(libc::ENOMEM) && self.region.clear_pool();
            if again { grow() } else { Err(error) }
        });
        if let Err(error) = grown {
            return Some(Err(error));
        }
        // SeqCst: see `len`. A thread that sees the new length finds the region grown.
        self.vm.len.store(desired, Ordering::SeqCst);
        Some(Ok(()))
    }

    /// `len` bytes from `start`, if they are all inside.
    pub(crate) fn range(&self, start: u64, len: u64) -> Option<Range<usize>> {
        match start.checked_add(len) {
            Some(end) if end <= self.len() as u64 => Some(start as usize..end as usize),
            _ => None,
        }
    }

    /// As [`MemoryData::range`]; if the range is not inside, tells where. `memory` is the guest's
    /// index of this memory.
    pub(crate) fn slice(
        &self,
        memory: Option<u32>,
        start: u64,
        len: u64,
    ) -> Result<Range<usize>, MemoryFault> {
        let outside = || MemoryFault::of_range(memory, start, len, self.len());
        self.range(start, len).ok_or_else(outside)
    }

    /// The meaning of a fault of compiled code `offset` bytes behind the base. `end` is where
    /// indices are clamped.
    pub(crate) fn fault_at(&self, memory: Option<u32>, offset: u64, end: u64) -> MemoryFault {
        match offset {
            // Its accesses are compared with the length, and every access that is outside is
            // directed there.
            _ if self.ty.page_size_log2 == 0 => MemoryFault::at(memory, None, self.len()),
            _ if self.ty.memory64 && offset >= end => MemoryFault::from(memory, offset, self.len()),
            _ => MemoryFault::at(memory, Some(offset), self.len()),
        }
    }

    /// The maximum in bytes, as limiters are told.
    pub(super) fn declared_maximum(&self) -> Option<usize> {
        declared_maximum(self.ty, self.capacity)
    }
}

/// Accesses by the host.
impl MemoryData {
    pub(super) fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        let len = buffer.len();
        self.check(offset, len)?;
        let done = self.region.read(offset, buffer);
        done.map_err(|fault| MemoryAccessError::fault(offset, len, fault))
    }

    pub(super) fn write(&self, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        self.check(offset, buffer.len())?;
        let done = self.region.write(offset, buffer);
        done.map_err(|fault| MemoryAccessError::fault(offset, buffer.len(), fault))
    }

    pub(super) fn fault_in(
        &self,
        range: Range<usize>,
        access: Access,
    ) -> Result<(), MemoryAccessError> {
        let (offset, len) = self.check_range(&range)?;
        let done = self.region.fault_in(range, access);
        done.map_err(|fault| MemoryAccessError::fault(offset, len, fault))
    }

    pub(super) fn discard(&self, range: Range<usize>) -> Result<(), MemoryAccessError> {
        let (offset, len) = self.check_range(&range)?;
        if !is_page_aligned(offset as u64) || !is_page_aligned(len as u64) {
            return Err(MemoryAccessError::because(offset, len, "not aligned to pages"));
        }
        let done = self.region.discard(range);
        done.map_err(|error| MemoryAccessError::because(offset, len, error))
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), MemoryAccessError> {
        match self.range(offset as u64, len as u64) {
            Some(_) => Ok(()),
            None => Err(MemoryAccessError::out_of_bounds(offset, len)),
        }
    }

    /// The offset and length of a range that is inside.
    fn check_range(&self, range: &Range<usize>) -> Result<(usize, usize), MemoryAccessError> {
        let (offset, len) = (range.start, range.len());
        if range.start > range.end {
            return Err(MemoryAccessError::because(offset, len, "reversed range"));
        }
        self.check(offset, len)?;
        Ok((offset, len))
    }
}

/// Whether `bytes` is a number of whole pages of 64 KiB. Memories with other pages must use these,
/// too: the system could free smaller pieces only by splitting its mappings.
pub(crate) fn is_page_aligned(bytes: u64) -> bool {
    bytes.is_multiple_of(WASM_PAGE_SIZE as u64)
}

/// The maximum in bytes, as limiters are told.
fn declared_maximum(ty: MemoryType, capacity: usize) -> Option<usize> {
    ty.maximum.map(|_| capacity)
}
