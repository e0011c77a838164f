//! [`GcHeap`]: the memory for objects.
//!
//! One region of address space holds two halves behind a guard that holds no object. Objects are allocated in the
//! active half, one behind the other. A collection copies the live ones to the idle half, which then becomes the active
//! one ([`collect`](super::collect)).
//!
//! ```text
//! 0        NULL_OBJECT                                       maximum
//! │ guard  │ first half: objects ── next ──► limit ┆         │ second half: idle ┆          │
//! ```
//!
//! `next` and `limit` are in the store's context, where compiled code allocates by itself; it calls the runtime when
//! the half is full. The used size of a half follows what is alive: a multiple of it ([`capacity_for`]). Pages come
//! when they are touched. A collection first commits the pages that it may copy to, so that it never stops halfway.
//!
//! Where address space is scarce, the halves are small at first. When they become too small, the heap moves to a larger
//! region: references are offsets, so they stay as they are. Compiled code loads the base after each call.

use super::host_data::HostData;
use crate::engine::{self, Engine};
use crate::entities::{FirstContents, PooledRegion, Shape};
use crate::error::Result;
use crate::vm::trap_of;
use seqfault_jit::gc::{FILLED_OFFSET, HEADER_SIZE, LENGTH_OFFSET, OBJECT_ALIGN, TYPE_OFFSET};
use seqfault_jit::vm::{NULL_OBJECT, POISON, UNFINISHED, VMStoreContext};
use seqfault_mm::{Access, GRANULE_SIZE, Protection, Region, RegionOptions};
use std::ops::Range;

/// A reference into the heap, in the form of compiled code: 0 is null.
pub(crate) type RawRef = u32;

/// The size of a half of a small heap: about a core's cache.
const SMALLEST: u32 = 1 << 20;

/// Bytes of the idle half that stay resident between collections, to avoid faults.
pub(super) const RETAINED: u32 = 32 << 20;

/// How many bytes behind a touched one the region may bring.
const PREFETCHED: u32 = 4 << 20;

/// The most bytes that a half can have: references are 32 bits wide.
const LARGEST: u32 = ((u32::MAX - NULL_OBJECT) / 2) & !(GRANULE_SIZE as u32 - 1);

/// What a collection returns to the system of the memory that holds no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// All of it.
    All,
    /// All of the idle half that will not be used soon.
    Most,
    /// The same, but the caller does it ([`GcHeap::trim`]).
    Later,
}

/// The memory for objects.
#[derive(Debug)]
pub(crate) struct GcHeap {
    region: PooledRegion,
    /// The size of a half.
    half: u32,
    /// What it may become.
    largest: u32,
    /// Whether the second half is the active one.
    second: bool,
    /// Bytes of the active half that may be used before the next collection.
    capacity: u32,
    /// The largest size of a half that the embedder has allowed so far.
    granted: u32,
    /// How far each half has been used since its memory was given back.
    reach: [u32; 2],
    /// Collect at every allocation, and poison the half that was left.
    stress: bool,
    /// Bytes of the idle half that are poisoned.
    poisoned: u32,
    collections: u64,
    pub(super) host_data: HostData,
}

impl GcHeap {
    /// Reserves the address space. Nothing is resident and nothing is granted yet.
    pub(crate) fn new(engine: &Engine) -> Result<GcHeap> {
        let config = engine.config();
        let wanted = config.gc_heap_limit.unwrap_or(usize::MAX).min(LARGEST as usize);
        // At most `LARGEST`, which is a multiple of the granule.
        let largest = wanted.next_multiple_of(GRANULE_SIZE).max(GRANULE_SIZE) as u32;
        let half = if config.scarcity.is_some() { SMALLEST.min(largest) } else { largest };
        let region = reserve(engine, half)?;
        Ok(GcHeap {
            region,
            half,
            largest,
            second: false,
            capacity: 0,
            granted: 0,
            reach: [0; 2],
            stress: config.gc_stress,
            poisoned: 0,
            collections: 0,
            host_data: HostData::default(),
        })
    }

    /// Tells compiled code where to allocate.
    pub(crate) fn publish(&self, vm: &mut VMStoreContext, next: u32) {
        vm.gc_heap_base = self.base();
        vm.gc_next = u64::from(next);
        // Under stress compiled code finds no room and calls the runtime each time.
        vm.gc_limit = if self.stress { 0 } else { u64::from(self.end()) };
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.region.base()
    }

    pub(crate) fn is_stressed(&self) -> bool {
        self.stress
    }

    /// The valid targets of references: the part of the active half that holds objects.
    pub(super) fn objects(&self, vm: &VMStoreContext) -> Range<RawRef> {
        self.start()..vm.gc_next as u32
    }

    /// The start of the active half.
    pub(crate) fn start(&self) -> u32 {
        self.half_start(self.second)
    }

    /// The end of the part of the active half that may be used.
    fn end(&self) -> u32 {
        self.start() + self.capacity
    }

    fn half_start(&self, second: bool) -> u32 {
        NULL_OBJECT + if second { self.half } else { 0 }
    }

    /// Bytes that are resident.
    pub(crate) fn resident(&self) -> usize {
        self.region.resident()
    }

    /// How many collections there were.
    pub(crate) fn collections(&self) -> u64 {
        self.collections
    }

    /// Allocates `size` bytes at `next`, if there is room, and moves `next` to their end. Writes nothing to them.
    pub(crate) fn bump(&self, vm: &mut VMStoreContext, size: u32) -> Option<RawRef> {
        debug_assert!(size.is_multiple_of(OBJECT_ALIGN) && size >= HEADER_SIZE);
        let place = vm.gc_next;
        let end = place + u64::from(size);
        if end > u64::from(self.end()) {
            return None;
        }
        vm.gc_next = end;
        // Below the end, which is below 4 GiB.
        Some(place as RawRef)
    }

    /// Writes the header of a new object; its other bytes stay as they are.
    ///
    /// # Errors
    ///
    /// When the system has no memory.
    pub(crate) fn write_header(&self, place: RawRef, size: u32, ty: u32, len: u32) -> Result<()> {
        let range = place as usize..place as usize + size as usize;
        self.region.fault_in(range, Access::Write).map_err(trap_of)?;
        self.write::<u32>(place, TYPE_OFFSET, ty);
        self.write::<u32>(place, LENGTH_OFFSET, len);
        Ok(())
    }

    /// Writes the header of a new array with `len` bytes of elements, which is [unfinished](super::arrays).
    ///
    /// # Errors
    ///
    /// When the system has no memory.
    pub(super) fn write_unfinished(&self, place: RawRef, len: u32) -> Result<()> {
        let start = place as usize;
        let range = start..start + (FILLED_OFFSET as usize + size_of::<u32>());
        self.region.fault_in(range.clone(), Access::Write).map_err(trap_of)?;
        self.write::<u32>(place, TYPE_OFFSET, UNFINISHED);
        self.write::<u32>(place, LENGTH_OFFSET, len);
        self.write::<u32>(place, FILLED_OFFSET, range.len() as u32);
        Ok(())
    }

    /// Makes an array whose elements are all there what it is to be.
    pub(super) fn finish(&self, place: RawRef, ty: u32, len: u32) {
        self.write::<u32>(place, TYPE_OFFSET, ty);
        self.write::<u32>(place, LENGTH_OFFSET, len);
    }

    /// Fills a part of an object with `pair` over and over, as [`Region::fill_pairs`] does.
    pub(super) fn fill(&self, place: RawRef, offset: u32, pair: u128, len: usize) -> Result<()> {
        let start = place as usize + offset as usize;
        Ok(self.region.fill_pairs(start, pair, len).map_err(trap_of)?)
    }

    /// Copies bytes to a part of an object.
    pub(super) fn write_bytes(&self, place: RawRef, offset: u32, bytes: &[u8]) -> Result<()> {
        let start = place as usize + offset as usize;
        Ok(self.region.write(start, bytes).map_err(trap_of)?)
    }

    /// Copies a part of an object to another or to itself.
    pub(super) fn copy(&self, to: (RawRef, u32), from: (RawRef, u32), len: usize) -> Result<()> {
        let [to, from] =
            [to, from].map(|(place, offset)| (&*self.region, place as usize + offset as usize));
        Ok(Region::copy(to, from, len).map_err(trap_of)?)
    }

    /// The largest size that a half can have.
    pub(super) fn largest(&self) -> u32 {
        self.largest
    }

    /// The size of a half.
    pub(super) fn half(&self) -> u32 {
        self.half
    }

    /// Whether the heap must move to have room for `needed` bytes in a half.
    pub(super) fn is_too_small(&self, needed: u32) -> bool {
        capacity_for(needed).min(self.granted) > self.half
    }

    /// Whether it can move: objects are at the start, where they are in a heap of any size.
    pub(super) fn can_move(&self) -> bool {
        !self.second
    }

    /// Moves to a region whose halves have room for `needed` bytes.
    ///
    /// # Errors
    ///
    /// When the system has no address space or no memory: nothing has moved then.
    pub(super) fn relocate(
        &mut self,
        engine: &Engine,
        vm: &mut VMStoreContext,
        needed: u32,
    ) -> Result<()> {
        debug_assert!(self.can_move());
        let half = capacity_for(needed).min(self.granted).next_multiple_of(GRANULE_SIZE as u32);
        let region = reserve(engine, half)?;
        let (start, end) = (self.start(), vm.gc_next as u32);
        if start < end {
            let range = start as usize..end as usize;
            region.fault_in(range.clone(), Access::Write).map_err(trap_of)?;
            // An array that is being filled has pages that nobody has touched.
            self.region.fault_in(range.clone(), Access::Read).map_err(trap_of)?;
            // SAFETY: inside of both regions, where all of it was just made present.
            unsafe {
                let to = region.base().add(range.start);
                self.at(start, 0).copy_to_nonoverlapping(to, range.len());
            }
        }
        (self.region, self.half) = (region, half);
        (self.reach, self.poisoned) = ([0; 2], 0);
        self.reached(end - start);
        self.publish(vm, end);
        Ok(())
    }

    /// Bytes of the active half that are in use.
    pub(super) fn used(&self, vm: &VMStoreContext) -> u32 {
        vm.gc_next as u32 - self.start()
    }

    /// The largest size of a half that the embedder has allowed so far.
    pub(super) fn granted(&self) -> u32 {
        self.granted
    }

    /// The sizes of a half to ask the embedder for when `needed` bytes are needed: one that makes collections worth
    /// their cost, and the least that suffices.
    pub(super) fn wishes(&self, needed: u32) -> [u32; 2] {
        let least = needed.max(1).checked_next_multiple_of(GRANULE_SIZE as u32).unwrap_or(LARGEST);
        [capacity_for(needed).min(self.largest), least.min(self.largest)]
    }

    /// The embedder allows `bytes` of a half.
    pub(super) fn grant(&mut self, bytes: u32) {
        self.granted = bytes;
    }

    /// Extends the usable part of the half as `needed` bytes suggest, within what is granted.
    pub(super) fn make_room(&mut self, vm: &mut VMStoreContext, needed: u32) {
        self.capacity = self.capacity_within(needed).max(self.capacity);
        self.publish(vm, vm.gc_next as u32);
    }

    /// As [`capacity_for`], as far as is granted and a half is large.
    fn capacity_within(&self, live: u32) -> u32 {
        capacity_for(live).min(self.granted).min(self.half)
    }

    /// Commits the memory that the survivors of `used` bytes may need. Returns the place of the first copy.
    ///
    /// # Errors
    ///
    /// When the system has no memory: nothing has changed then.
    pub(super) fn prepare_idle(&self, used: u32) -> Result<u32> {
        self.commit_idle(0..used)?;
        let start = self.half_start(!self.second);
        self.check_poison(start);
        Ok(start)
    }

    /// Commits a part of the idle half.
    ///
    /// # Errors
    ///
    /// When the system has no memory.
    pub(super) fn commit_idle(&self, range: Range<u32>) -> Result<()> {
        let start = self.half_start(!self.second) as usize;
        let range = start + range.start as usize..start + range.end as usize;
        Ok(self.region.fault_in(range, Access::Write).map_err(trap_of)?)
    }

    /// Makes the idle half, which is used up to `next`, the active one.
    pub(super) fn flip(&mut self, vm: &mut VMStoreContext, next: u32, release: Release) {
        self.collections += 1;
        // Room was made for everything, although little of it may have been alive.
        let prepared = vm.gc_next as u32 - self.start();
        self.reached(self.capacity);
        self.second = !self.second;
        let live = next - self.start();
        self.reached(prepared);
        self.capacity = self.capacity_within(live);
        self.publish(vm, next);
        match release {
            Release::All => {
                self.give_back(!self.second, 0);
                self.give_back(self.second, live.next_multiple_of(seqfault_mm::PAGE_SIZE as u32));
            }
            Release::Later if !self.stress => {}
            Release::Most | Release::Later => {
                self.trim(u32::MAX);
            }
        }
        if self.stress {
            let left = self.reach[usize::from(!self.second)].min(prepared);
            self.poison(left);
        }
    }

    /// Returns memory of the idle half to the system, at most `most` bytes. Whether there is more to return.
    pub(super) fn trim(&mut self, most: u32) -> bool {
        let wanted = RETAINED.min(self.capacity);
        let kept = self.reach[usize::from(!self.second)].saturating_sub(most).max(wanted);
        self.give_back(!self.second, kept);
        kept > wanted
    }

    /// Fills the first bytes of the idle half, which are present, with a pattern that is noticed when it is used.
    fn poison(&mut self, bytes: u32) {
        let start = self.half_start(!self.second);
        for offset in (0..bytes).step_by(size_of::<u32>()) {
            self.write(start, offset, POISON);
        }
        self.poisoned = bytes;
    }

    /// Checks that nothing was written to the idle half, which starts here, since it was left.
    fn check_poison(&self, start: RawRef) {
        for offset in (0..self.poisoned).step_by(size_of::<u32>()) {
            let found = self.read::<u32>(start, offset);
            assert!(
                found == POISON,
                "{found:#x} was written through a reference to {:#x}, which the last collection had missed",
                start + offset
            );
        }
    }

    /// Records that the active half has been used up to here.
    fn reached(&mut self, used: u32) {
        let reach = &mut self.reach[usize::from(self.second)];
        *reach = used.next_multiple_of(seqfault_mm::PAGE_SIZE as u32).max(*reach);
    }

    /// Returns the memory of a half to the system, except its first `kept` bytes.
    fn give_back(&mut self, second: bool, kept: u32) {
        let (start, reach) = (self.half_start(second), &mut self.reach[usize::from(second)]);
        if *reach <= kept {
            return;
        }
        // A touch may bring pages behind it as well. Most of the half was never touched.
        let end = reach.saturating_add(PREFETCHED).min(self.half);
        *reach = kept;
        // Pages that the system refuses to take stay resident, and are used again.
        let given = self.region.discard((start + kept) as usize..(start + end) as usize);
        debug_assert!(!matches!(given, Err(seqfault_mm::Error::Misaligned { .. })));
    }

    /// The address of a byte of an object.
    pub(crate) fn at(&self, place: RawRef, offset: u32) -> *mut u8 {
        self.base().wrapping_add(place as usize + offset as usize)
    }

    /// Reads a part of an object.
    pub(crate) fn read<T: Plain>(&self, place: RawRef, offset: u32) -> T {
        // SAFETY: references of the store point to objects, whose pages are present; the caller keeps to the object's
        // layout; any bits are a `T`.
        unsafe { self.at(place, offset).cast::<T>().read_unaligned() }
    }

    /// Writes a part of an object.
    pub(crate) fn write<T: Plain>(&self, place: RawRef, offset: u32, value: T) {
        // SAFETY: as for `read`; only this thread uses the heap.
        unsafe { self.at(place, offset).cast::<T>().write_unaligned(value) };
    }

    /// The number of an object's type.
    pub(crate) fn type_of(&self, place: RawRef) -> u32 {
        self.read(place, TYPE_OFFSET)
    }

    /// The length of an array.
    pub(crate) fn len_of(&self, place: RawRef) -> u32 {
        self.read(place, LENGTH_OFFSET)
    }
}

/// The region of a heap with halves of this size.
fn reserve(engine: &Engine, half: u32) -> Result<PooledRegion> {
    let config = engine.config();
    let scarce = config.scarcity.is_some();
    let maximum = NULL_OBJECT as usize + 2 * half as usize;
    let options = RegionOptions::new(maximum)
        .reserve_ahead(!scarce)
        .accessible(maximum)
        .speculation(config.speculation)
        .budget(engine.budget())
        // What a collection has faulted in must stay, so it is not left to the kernel, which would have to be asked what it
        // has brought.
        .demand_paging(engine.budget().is_none())
        .pager(config.pager)
        .displaced_handlers(config.displaced_handlers);
    let shape = Shape { extent: (maximum, 0), accessible: maximum, contents: FirstContents::Heap };
    let guard_null =
        |region: &Region| region.protect(0..NULL_OBJECT as usize, Protection::NoAccess).is_ok();
    // A heap that has grown would hold much while it waits for the next user.
    let set = |region: &Region| guard_null(region) && !scarce;
    let region = PooledRegion::new(engine.regions(), shape, || options.build(), set)
        .map_err(|error| engine::refused(error, "cannot reserve the heap for objects"))?;
    if !region.is_as_asked() {
        // Once more, for the error.
        region.protect(0..NULL_OBJECT as usize, Protection::NoAccess)?;
    }
    Ok(region)
}

/// Types of which any bits are a value.
pub(crate) trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for u128 {}

/// How much of a half may be used when `live` bytes of it are alive: enough to make the next collection, whose cost is
/// what is alive then, worth it.
fn capacity_for(live: u32) -> u32 {
    const MOST_AT_ONCE: u32 = 64 << 20;
    let more = live.saturating_mul(2).min(MOST_AT_ONCE);
    let capacity = live.saturating_mul(2).saturating_add(more).max(SMALLEST);
    capacity.checked_next_multiple_of(GRANULE_SIZE as u32).unwrap_or(LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;
    use crate::gc::{ExternRef, Rooted};
    use crate::store::{AsContextMut, Store, StoreOpaque};

    /// A store that collects at every allocation, and the old place of an object that has moved.
    fn stale() -> (Store<()>, RawRef) {
        let engine = Engine::new(Config::new().gc_stress(true)).unwrap();
        let mut store = Store::new(&engine, ());
        let value = ExternRef::new(&mut store, 7).unwrap();
        let place = value.raw(opaque(&mut store)).unwrap();
        ExternRef::new(&mut store, 8).unwrap();
        assert_ne!(value.raw(opaque(&mut store)).unwrap(), place);
        (store, place)
    }

    fn opaque(store: &mut Store<()>) -> &mut StoreOpaque {
        let store: *mut StoreOpaque = store.as_context_mut().opaque();
        // SAFETY: borrowed from `store`.
        unsafe { &mut *store }
    }

    #[test]
    fn what_a_collection_has_left_is_poisoned() {
        let (mut store, place) = stale();
        let heap = opaque(&mut store).gc_heap_mut();
        assert_eq!(heap.type_of(place), POISON);
        assert_eq!(
            heap.read::<u64>(place, HEADER_SIZE),
            u64::from(POISON) << 32 | u64::from(POISON)
        );
    }

    #[test]
    #[should_panic(expected = "which the last collection had missed")]
    fn a_write_to_what_a_collection_has_left_is_noticed() {
        let (mut store, place) = stale();
        opaque(&mut store).gc_heap_mut().write::<u32>(place, HEADER_SIZE, 9);
        ExternRef::new(&mut store, 10).unwrap();
    }

    #[test]
    #[should_panic(expected = "an earlier collection has missed this reference")]
    fn a_reference_to_what_a_collection_has_left_is_noticed() {
        let (mut store, place) = stale();
        let _stale: Rooted<ExternRef> = Rooted::new(opaque(&mut store), place);
        ExternRef::new(&mut store, 10).unwrap();
    }

    #[test]
    fn capacity_follows_what_is_alive() {
        assert_eq!(capacity_for(0), SMALLEST);
        assert_eq!(capacity_for(1 << 20), 4 << 20);
        assert_eq!(capacity_for(256 << 20), (512 + 64) << 20);
        assert!(capacity_for(u32::MAX) >= LARGEST);
    }
}
