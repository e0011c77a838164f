//! `Region`: one reservation of address space, for callers. Units here are bytes; the core counts pages.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::error::{Error, Fault, FaultKind, Result};
use crate::record::{self, Record};
use crate::space::{Counters, PAGE, PageRange, Pool, Pristine, Reading};
use crate::sys::{LINUX, PIECE, Sys};
use crate::{Access, Budget, Image, PagerKind, Protection, copy, registry, stack};

/// A reservation of address space whose pages come when they are touched.
///
/// All methods take `&self` and may be called from any thread, at the same time, while others touch the memory.
/// Dropping it gives everything back; nothing may touch the memory then.
///
/// A region belongs to the process that made it. In a child by `fork` every operation on it and every access through it
/// is an error. Its addresses stay reserved there, without access, also after it is dropped.
#[derive(Debug)]
pub struct Region {
    pub(crate) record: &'static Record,
    pub(crate) base: usize,
    /// Whether its pager's accesses fault; a copy, for accesses that take only a few nanoseconds.
    pub(crate) faults: bool,
    maximum: usize,
    /// Bytes that are registered, guard included.
    total: usize,
    /// Whether all of it was reserved from the start.
    ahead: bool,
    /// Bytes that are mapped, from the base on. All of `total`, unless the region reserves as it grows. Only changed by
    /// who holds the lock.
    reserved: Mutex<usize>,
    /// Whether the system is told of each mapping that it is to have no huge pages.
    pub(crate) refuses_huge_pages: bool,
    /// What the record had counted for earlier regions.
    before: Counters,
    /// The images that the address space refers to. Only added to, until a reset or the end.
    images: ManuallyDrop<Mutex<Vec<Attached>>>,
    /// What a rewind brings back: as built, unless told otherwise.
    pristine: Pristine,
    /// The images of that.
    first_images: Vec<Attached>,
    speculation: bool,
    /// The budget that it shares. Dropped last.
    pub(crate) budget: Option<Budget>,
    /// How often it was rewound.
    rewinds: u32,
    /// Shared by the host's accesses that rely on unchanged protections: see `admit`.
    pub(crate) admitting: RwLock<()>,
}

/// One of so many rewinds gives back pages that its user has left as they were. Not each: guests also write what is there
/// already, zeroes above all, and those pages would have to be brought each time.
const SHEDDING: u32 = 32;

/// An image and where it was attached.
#[derive(Clone, Debug)]
struct Attached {
    image: Image,
    pages: PageRange,
    /// See [`Backing::Image`](crate::space::Backing).
    delta: usize,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The pages of `range`, which must be page-aligned.
fn whole_pages(range: &Range<usize>) -> Result<PageRange> {
    for offset in [range.start, range.end] {
        if !offset.is_multiple_of(PAGE) {
            return Err(Error::Misaligned { offset });
        }
    }
    if range.start > range.end {
        return Err(Error::OutOfRange);
    }
    Ok(PageRange::new(range.start / PAGE, range.end / PAGE))
}

impl Region {
    pub(crate) fn adopt(
        record: &'static Record,
        base: usize,
        maximum: usize,
        [total, reserved]: [usize; 2],
        speculation: bool,
    ) -> Self {
        Self {
            record,
            base,
            faults: record.pager.faults(),
            maximum,
            total,
            ahead: reserved == total,
            reserved: Mutex::new(reserved),
            refuses_huge_pages: false,
            before: record.space.counters(),
            images: ManuallyDrop::default(),
            pristine: Pristine::default(),
            first_images: Vec::new(),
            speculation,
            budget: None,
            rewinds: 0,
            admitting: RwLock::default(),
        }
    }

    /// Whether it was made by an ancestor of this process. Nothing can be done with it but to drop it.
    pub fn is_inherited(&self) -> bool {
        self.record.is_inherited()
    }

    /// Where it starts. Never moves.
    pub fn base(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.base)
    }

    /// Bytes that are accessible now. Only [`reset`](Self::reset) lowers it. Takes no lock.
    pub fn accessible(&self) -> usize {
        self.record.space.accessible() * PAGE
    }

    /// Bytes that may become accessible.
    pub fn maximum(&self) -> usize {
        self.maximum
    }

    /// Bytes reserved, guard included.
    pub fn reserved(&self) -> usize {
        if self.ahead { self.total } else { *self.mapped() }
    }

    /// How pages are made present.
    pub fn pager(&self) -> PagerKind {
        self.record.kind
    }

    /// Bytes that hold contents.
    ///
    /// With a resident limit (and wherever nothing is left to the kernel, see
    /// [`demand_paging`](crate::RegionOptions::demand_paging)) these are the committed bytes: those that may be touched
    /// without a fault, prefetched pages included. The answer is exact, and takes one load.
    ///
    /// Otherwise the kernel is asked (`mincore`), which takes time in proportion to the accessible size. Pages of an
    /// image count if they are in memory for any process. If the kernel does not answer, all accessible bytes count.
    pub fn resident(&self) -> usize {
        match self.record.space.counts_all() && self.faults {
            true => self.record.space.resident() * PAGE,
            false => LINUX.resident(self.base, self.accessible()),
        }
    }

    /// What has happened in this region so far.
    pub fn counters(&self) -> Counters {
        self.record.space.counters().since(&self.before)
    }

    /// Switches speculation on or off, at any time.
    pub fn set_speculation(&self, on: bool) {
        self.record.space.set_speculation(on);
    }

    /// Makes the first `accessible` bytes accessible. Never shrinks. No system call, unless the pager commits ahead, or
    /// the region reserves as it grows.
    ///
    /// # Errors
    /// When it exceeds the maximum, is no multiple of the page size, or a pager that commits ahead is refused; in a region
    /// that reserves as it grows, when the process may not map so much, or another mapping is in the way.
    pub fn grow(&self, accessible: usize) -> Result<()> {
        if !accessible.is_multiple_of(PAGE) {
            return Err(Error::Misaligned { offset: accessible });
        }
        let (record, pool) = self.own()?;
        if !self.ahead {
            self.reserve(&mut self.mapped(), accessible)?;
        }
        record.space.grow(accessible / PAGE, pool, record.pager)
    }

    /// Makes `range` (offsets, page-aligned) read zero and gives its memory back to the system.
    ///
    /// Accesses that race with it see old bytes or zero. An initial image never comes back.
    ///
    /// # Errors
    /// When the range is not aligned or not accessible, or the system refuses; a part may have been discarded then.
    pub fn discard(&self, range: Range<usize>) -> Result<()> {
        let (record, pool) = self.own()?;
        record.space.discard(whole_pages(&range)?, pool, record.pager)
    }

    /// Discards everything, forgets images and protections, and makes the first `accessible` bytes accessible.
    ///
    /// # Errors
    /// As for [`grow`](Self::grow) and [`discard`](Self::discard).
    pub fn reset(&self, accessible: usize) -> Result<()> {
        if !accessible.is_multiple_of(PAGE) {
            return Err(Error::Misaligned { offset: accessible });
        }
        let (record, pool) = self.own()?;
        let mut mapped = self.mapped();
        self.reserve(&mut mapped, accessible)?;
        let _alone = self.exclude_admitted();
        // Held throughout, so that an image that is attached meanwhile is not forgotten.
        let mut images = self.images();
        record.space.reset(accessible / PAGE, pool, record.pager)?;
        images.clear();
        if !self.ahead {
            self.release_beyond(&mut mapped, accessible);
        }
        Ok(())
    }

    fn mapped(&self) -> MutexGuard<'_, usize> {
        // Nothing panics while it is changed.
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the first `end` bytes are mapped. What is new is as inaccessible as what was reserved ahead.
    fn reserve(&self, mapped: &mut usize, end: usize) -> Result<()> {
        if end > self.maximum {
            return Err(Error::BeyondMaximum);
        }
        let (start, len) = (self.base + *mapped, end.saturating_sub(*mapped));
        if len == 0 {
            return Ok(());
        }
        LINUX.reserve_at(start, len)?;
        if let Err(error) = self.record.pager.attach(start, len) {
            LINUX.release_apart(start, len);
            return Err(error.into());
        }
        if self.refuses_huge_pages {
            LINUX.advise_huge(start, len, false);
        }
        *mapped = end;
        Ok(())
    }

    /// Unmaps what is behind the first `end` bytes, which is not accessible. The first page keeps the place.
    fn release_beyond(&self, mapped: &mut usize, end: usize) {
        let end = end.max(PAGE);
        // What the kernel cannot unmap now stays, and is used again.
        if end < *mapped && LINUX.release(self.base + end, *mapped - end).is_ok() {
            *mapped = end;
        }
    }

    /// Discards the range at `offset` with the length of `image`, and makes it start as a copy of the image.
    ///
    /// Pages are copied when they are touched. What is discarded later reads zero; the image does not come back.
    ///
    /// # Errors
    /// When the offset is not aligned, the range is not accessible, there are too many pieces, or the system refuses;
    /// the contents of the range are lost in that last case.
    pub fn attach_image(&self, offset: usize, image: &Image) -> Result<()> {
        let pages = whole_pages(&(offset..offset.saturating_add(image.len())))?;
        let (record, pool) = self.own()?;
        let mut images = self.images();
        let delta = image.view().wrapping_sub(self.base + offset);
        images.push(Attached { image: image.clone(), pages, delta });
        let attached = record.space.attach_image(pages, image.whole(), delta, pool, record.pager);
        if attached.is_err() {
            images.pop();
        }
        attached
    }

    /// Says whether the region waits for its next user, after a [`rewind`](Self::rewind). Meanwhile the regions that share its
    /// [`Budget`] may take the memory that it keeps. Returns whether it can be used.
    pub fn set_idle(&mut self, idle: bool) -> bool {
        self.budget.is_none() || self.record.space.set_idle(idle)
    }

    /// Makes what the region is now what [`rewind`](Self::rewind) brings back: its accessible length, its images and its
    /// protections. Nothing may have been written to it yet. At first a rewind brings back what was built.
    pub fn set_pristine(&mut self) {
        let images = self.images().clone();
        let parts = images.iter().map(|at| (at.pages, at.image.whole(), at.delta)).collect();
        self.pristine = self.record.space.pristine(parts);
        self.first_images = images;
    }

    /// Makes the region ready for its next user: as it was when [`set_pristine`](Self::set_pristine) was called, with its
    /// first contents. Costs time in proportion to what was touched.
    ///
    /// Pages that hold something stay in memory, up to `keep` bytes, with their first contents; all others are given back
    /// to the system, and one of 32 times also those that this user has left as they were. So does a part of an image that was discarded come back. Ranges that were left to the kernel stay
    /// left to it. With a resident limit nothing is kept: what a user has not touched must not count for him.
    ///
    /// Returns how many bytes were kept.
    ///
    /// # Errors
    /// When the system refuses. The region is of no further use then.
    pub fn rewind(&mut self, keep: usize) -> Result<usize> {
        let (record, pool) = self.own()?;
        self.rewinds = self.rewinds.wrapping_add(1);
        let sheds = self.rewinds.is_multiple_of(SHEDDING);
        let accessible = self.pristine.accessible() * PAGE;
        let mut mapped = self.mapped();
        if !self.ahead {
            self.reserve(&mut mapped, accessible)?;
        }
        let kept = record.space.rewind(&self.pristine, keep / PAGE, sheds, pool, record.pager)?;
        if !self.ahead {
            self.release_beyond(&mut mapped, accessible);
        }
        drop(mapped);
        if !self.ahead {
            self.release_beyond(&mut self.mapped(), self.accessible());
        }
        self.images().clone_from(&self.first_images);
        record.space.set_speculation(self.speculation);
        self.before = record.space.counters();
        Ok(kept * PAGE)
    }

    /// The parts that an operation works on, if this is the process that made the region.
    fn own(&self) -> Result<(&'static Record, &'static Pool)> {
        if self.record.is_inherited() {
            return Err(Error::Inherited);
        }
        Ok((self.record, &self.record.process.pool))
    }

    /// Keeps what look-ups without a lock find.
    pub(crate) fn reading(&self) -> Reading<'_> {
        self.record.process.pool.readers().enter()
    }

    fn images(&self) -> MutexGuard<'_, Vec<Attached>> {
        // Nothing panics while the list is half changed.
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what `range` (offsets, page-aligned, accessible) allows. Contents stay.
    ///
    /// # Errors
    /// When the range is not aligned or not accessible, there are too many pieces, or the system refuses.
    pub fn protect(&self, range: Range<usize>, to: Protection) -> Result<()> {
        let (record, pool) = self.own()?;
        let _alone = self.exclude_admitted();
        record.space.protect(whole_pages(&range)?, to, pool, record.pager)
    }

    /// Makes every page of `range` present for accesses that raise no signal, like those of a system call.
    ///
    /// A discard by another thread may take the pages away again; the system call then returns `EFAULT`.
    ///
    /// # Errors
    /// When any byte may not be accessed, or the resident limit is in the way. Nothing is committed then.
    pub fn fault_in(&self, range: Range<usize>, access: Access) -> std::result::Result<(), Fault> {
        if range.is_empty() {
            return Ok(());
        }
        self.check(range.start, range.len())?;
        let pages = PageRange::new(range.start / PAGE, range.end.div_ceil(PAGE));
        let fault_in =
            || self.record.space.fault_in(pages, access, self.record.pager, &self.reading());
        let mut result = fault_in();
        if matches!(result, Err((FaultKind::ResidentLimit, _)))
            && self.record.make_room(pages.len())
        {
            result = fault_in();
        }
        result.map_err(|(kind, page)| self.fault(kind, range.start.max(page * PAGE)))
    }

    /// Copies bytes out of the region.
    ///
    /// # Errors
    /// When a byte may not be read; `dst` may hold a part of the bytes then.
    pub fn read(&self, offset: usize, dst: &mut [u8]) -> std::result::Result<(), Fault> {
        self.check(offset, dst.len())?;
        let _admitted = self.admit(offset, dst.len(), Access::Read)?;
        // SAFETY: `dst` is exclusive, the source lies inside the reservation, and they cannot overlap.
        unsafe { copy::copy(dst.as_mut_ptr(), self.at(offset), dst.len()) }
            .map_err(|stop| self.stopped(stop))
    }

    /// Copies bytes into the region.
    ///
    /// # Errors
    /// When a byte may not be written; a part may have been written then, unless the range is out of bounds.
    pub fn write(&self, offset: usize, src: &[u8]) -> std::result::Result<(), Fault> {
        self.check(offset, src.len())?;
        let _admitted = self.admit(offset, src.len(), Access::Write)?;
        // SAFETY: the destination lies inside the reservation, outside of every Rust object.
        unsafe { copy::copy(self.at(offset), src.as_ptr(), src.len()) }
            .map_err(|stop| self.stopped(stop))
    }

    /// Loads 4 bytes at once, little-endian. The caller sees what another thread released before it stored the value.
    ///
    /// # Errors
    /// When they may not be read.
    ///
    /// # Panics
    /// When `offset` is no multiple of 4.
    pub fn load_u32(&self, offset: usize) -> std::result::Result<u32, Fault> {
        self.check(offset, size_of::<u32>())?;
        let _admitted = self.admit(offset, size_of::<u32>(), Access::Read)?;
        assert!(offset.is_multiple_of(size_of::<u32>()));
        // SAFETY: inside the reservation, whose base is aligned to a page.
        let value = unsafe { copy::load_u32(self.at(offset).cast()) };
        value.map(u32::from_le).map_err(|stop| self.stopped(stop))
    }

    /// Loads 8 bytes at once, as [`load_u32`](Self::load_u32).
    ///
    /// # Errors
    /// When they may not be read.
    ///
    /// # Panics
    /// When `offset` is no multiple of 8.
    pub fn load_u64(&self, offset: usize) -> std::result::Result<u64, Fault> {
        self.check(offset, size_of::<u64>())?;
        let _admitted = self.admit(offset, size_of::<u64>(), Access::Read)?;
        assert!(offset.is_multiple_of(size_of::<u64>()));
        // SAFETY: inside the reservation, whose base is aligned to a page.
        let value = unsafe { copy::load_u64(self.at(offset).cast()) };
        value.map(u64::from_le).map_err(|stop| self.stopped(stop))
    }

    /// Sets `len` bytes to `byte`.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn fill(&self, offset: usize, byte: u8, len: usize) -> std::result::Result<(), Fault> {
        self.check(offset, len)?;
        let _admitted = self.admit(offset, len, Access::Write)?;
        // SAFETY: as in `write`.
        unsafe { copy::fill(self.at(offset), byte, len) }.map_err(|stop| self.stopped(stop))
    }

    /// Sets `len` bytes to those of `pair`, little-endian, over and over.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    ///
    /// # Panics
    /// When `pair` is not the same 8 bytes twice and `len` no multiple of 16 or `offset` none of 8; or when it is, and `len`
    /// and `offset` are no multiples of the shortest part, of 1, 2, 4 or 8 bytes, that it repeats.
    pub fn fill_pairs(
        &self,
        offset: usize,
        pair: u128,
        len: usize,
    ) -> std::result::Result<(), Fault> {
        let repeats = |bytes: u32| pair.rotate_left(8 * bytes) == pair;
        let part = [1, 2, 4, 8].into_iter().find(|&bytes| repeats(bytes)).unwrap_or(16) as usize;
        assert!(len.is_multiple_of(part) && offset.is_multiple_of(part.min(8)));
        self.check(offset, len)?;
        let _admitted = self.admit(offset, len, Access::Write)?;
        // SAFETY: as in `write`; the rest was asserted.
        unsafe { copy::fill_pairs(self.at(offset), pair, len) }.map_err(|stop| self.stopped(stop))
    }

    /// Copies bytes between regions, or within one; the ranges may overlap.
    ///
    /// # Errors
    /// When a byte may not be read or written; the fault's offset is in the region that it happened in.
    pub fn copy(
        dst: (&Self, usize),
        src: (&Self, usize),
        len: usize,
    ) -> std::result::Result<(), Fault> {
        dst.0.check(dst.1, len)?;
        src.0.check(src.1, len)?;
        let _admitted = Self::admit_copy(dst, src, len)?;
        let (to, from) = (dst.0.at(dst.1), src.0.at(src.1));
        // SAFETY: both ranges lie inside reservations, outside of every Rust object.
        let done = unsafe { copy::copy(to, from, len) };
        done.map_err(|stop| {
            let in_dst = stop.addr.wrapping_sub(dst.0.base) < dst.0.total;
            if in_dst { dst.0.stopped(stop) } else { src.0.stopped(stop) }
        })
    }

    /// Refuses ranges outside of the accessible part, and any access to an inherited region, before a byte moves. Also
    /// prepares the thread for the copy.
    fn check(&self, offset: usize, len: usize) -> std::result::Result<(), Fault> {
        if self.record.is_inherited() {
            return Err(self.fault(FaultKind::Inherited, offset));
        }
        stack::prepare_copy(self.record.pager);
        let accessible = self.accessible();
        match offset.checked_add(len) {
            Some(end) if end <= accessible => Ok(()),
            _ => Err(self.fault(FaultKind::OutOfBounds, offset.max(accessible))),
        }
    }

    /// Before the region is unmapped at once: gives back what may be too much for one call.
    fn empty_in_pieces(&self) {
        let accessible = self.accessible();
        if accessible > PIECE && self.record.space.may_hold(PIECE / PAGE) {
            // What is refused stays until it is unmapped.
            let _ = LINUX.zap(self.base, accessible);
        }
    }

    fn at(&self, offset: usize) -> *mut u8 {
        self.base().wrapping_add(offset)
    }

    pub(crate) fn fault(&self, kind: FaultKind, offset: usize) -> Fault {
        Fault { kind, offset, addr: self.base.wrapping_add(offset) }
    }

    fn stopped(&self, stop: copy::Stop) -> Fault {
        self.fault(stop.kind, stop.addr.wrapping_sub(self.base))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let inherited = self.record.is_inherited();
        if !inherited {
            registry::remove(self.base, self.total, self.record);
            if let Some(budget) = self.record.link.state() {
                budget.remove(self.record);
            }
            self.empty_in_pieces();
            let pool = &self.record.process.pool;
            let mapped = *self.mapped();
            self.record.space.destroy(pool, |base, total| match self.ahead {
                true => LINUX.release_or_park(base, total),
                false => {
                    LINUX.release_apart(base, mapped);
                }
            });
            record::give(self.record);
        }
        // If a thread of the parent was changing the list when it forked, the list is leaked.
        if !inherited || self.images.try_lock().is_ok() {
            // SAFETY: dropped here only, and nothing uses it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.images) };
        }
    }
}
