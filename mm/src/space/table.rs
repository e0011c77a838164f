//! The sorted table of a space's VMAs: looked up without a lock, written under it.
//!
//! The `structure` count covers which VMAs the table has, and their order. It does not cover their contents: moving a
//! boundary between neighbours changes two `bounds` counts and nothing here. A search that races such a move may end at
//! the neighbour, whose extent then does not hold the page: the caller looks again.

use std::ptr::NonNull;

use super::counters::Abort;
use super::pool::Pool;
use super::primitive::{AtomicPtr, AtomicUsize, INLINE_VMAS, Level, LockGuard, Ordering};
use super::seqcount::SeqCount;
use super::vma::Vma;

/// How many VMAs a space may have. The system's own limit on mappings is of about the same size.
pub(crate) const MAX_VMAS: usize = 65_536;

/// The table.
pub(crate) struct Table {
    structure: SeqCount,
    len: AtomicUsize,
    inline: [AtomicPtr<Vma>; INLINE_VMAS],
    /// Used instead of `inline` when not null.
    spill: AtomicPtr<Spill>,
}

/// The table, with the proof that the writer lock of its space is held: see [`Table::held`].
pub(crate) struct Held<'a> {
    table: &'a Table,
}

/// Slots outside of the space. Type-stable, pooled by capacity.
pub(crate) struct Spill {
    slots: Box<[AtomicPtr<Vma>]>,
}

impl Spill {
    /// Empty slots.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { slots: (0..capacity).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect() }
    }
}

/// The VMA at `slot`, if there is one.
fn vma_at(slot: &AtomicPtr<Vma>) -> Option<&Vma> {
    // Acquire pairs with the Release in `splice` so that a VMA that was just made is seen as made.
    let vma = slot.load(Ordering::Acquire);
    // SAFETY: slots hold null or a VMA of the pool. Who looks without the lock is a reader, for whom it stays.
    unsafe { vma.as_ref() }
}

impl Table {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self {
            structure: SeqCount::new(),
            len: AtomicUsize::new(0),
            inline: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
            spill: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The VMA that seems to hold `page`, for a speculative fault: the caller must check its extent.
    pub(crate) fn find_speculatively(&self, page: usize) -> Result<&Vma, Abort> {
        let seen = self.structure.try_begin().ok_or(Abort::StructureChanged)?;
        let slots = self.slots();
        let len = self.len().min(slots.len());
        let found = search(&slots[..len], page).and_then(|index| vma_at(&slots[index]));
        if self.structure.retry(seen) {
            return Err(Abort::StructureChanged);
        }
        found.ok_or(Abort::StructureChanged)
    }

    /// The table for the holder of the writer lock, which keeps all others from changing it.
    pub(crate) fn held<'a>(&'a self, _held: &'a LockGuard<'_>) -> Held<'a> {
        Held { table: self }
    }

    /// Whether the `structure` count is at rest, for oracles.
    #[cfg(test)]
    pub(crate) fn at_rest(&self) -> bool {
        !self.structure.in_write_section()
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn slots(&self) -> &[AtomicPtr<Vma>] {
        // Acquire pairs with the Release in `reserve`: the copied slots are seen.
        let spill = self.spill.load(Ordering::Acquire);
        // SAFETY: null or storage of the pool, which outlives the space.
        unsafe { spill.as_ref() }.map_or(&self.inline[..], |spill| &spill.slots)
    }
}

impl<'a> Held<'a> {
    /// Index of the VMA that holds `page`.
    pub(crate) fn find(&self, page: usize) -> Option<usize> {
        search(&self.table.slots()[..self.len()], page)
    }

    /// The VMA at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&'a Vma> {
        self.table.slots()[..self.len()].get(index).and_then(vma_at)
    }

    /// The VMA that holds `page`.
    pub(crate) fn at(&self, page: usize) -> Option<&'a Vma> {
        self.find(page).and_then(|index| self.get(index))
    }

    /// How many VMAs there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// All VMAs in address order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a Vma> + use<'a> {
        self.table.slots()[..self.len()].iter().filter_map(vma_at)
    }

    /// Whether there is room for `len` VMAs.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        len <= self.table.slots().len()
    }

    /// Makes room for `len` VMAs; false if a space may not have as many.
    pub(crate) fn reserve(&self, len: usize, pool: &Pool) -> bool {
        let old = self.table.slots();
        if len <= old.len() {
            return true;
        }
        if len > MAX_VMAS {
            return false;
        }
        let Ok(spill) = pool.take_spill(len) else { return false };
        // SAFETY: storage of the pool is there until it is given back.
        let new = unsafe { &spill.as_ref().slots };
        for (to, from) in new.iter().zip(old) {
            to.store(from.load(Ordering::Relaxed), Ordering::Release);
        }
        let section = self.table.structure.write_begin(Level::Structure);
        let before = self.table.spill.swap(spill.as_ptr(), Ordering::Release);
        drop(section);
        empty(old);
        give_back(before, pool);
        true
    }

    /// Replaces `count` VMAs from `first` on; there is room.
    pub(crate) fn splice(&self, first: usize, count: usize, with: &[&Vma]) {
        let slots = self.table.slots();
        let len = self.len();
        let new_len = len - count + with.len();
        let _section = self.table.structure.write_begin(Level::Structure);
        let shift = |index: usize| {
            let vma = slots[index].load(Ordering::Relaxed);
            slots[index + with.len() - count].store(vma, Ordering::Release);
        };
        if with.len() > count {
            (first + count..len).rev().for_each(shift);
        } else if with.len() < count {
            (first + count..len).for_each(shift);
        }
        for (slot, vma) in slots[first..].iter().zip(with) {
            // Release pairs with the Acquire in `vma_at`.
            slot.store(std::ptr::from_ref(*vma).cast_mut(), Ordering::Release);
        }
        // Nobody finds a VMA that has left the table.
        empty(&slots[new_len..len.max(new_len)]);
        self.table.len.store(new_len, Ordering::Relaxed);
    }

    /// Back to an empty inline table.
    pub(crate) fn clear(&self, pool: &Pool) {
        let section = self.table.structure.write_begin(Level::Structure);
        let len = self.table.len.swap(0, Ordering::Relaxed);
        empty(&self.table.slots()[..len]);
        let before = self.table.spill.swap(std::ptr::null_mut(), Ordering::Release);
        drop(section);
        give_back(before, pool);
    }
}

/// A reader that finds an empty slot will see that the table has changed.
fn empty(slots: &[AtomicPtr<Vma>]) {
    slots.iter().for_each(|slot| slot.store(std::ptr::null_mut(), Ordering::Relaxed));
}

fn give_back(spill: *mut Spill, pool: &Pool) {
    if let Some(spill) = NonNull::new(spill) {
        // SAFETY: storage of the pool, not given back yet.
        let capacity = unsafe { spill.as_ref() }.slots.len();
        pool.give_spill(spill, capacity);
    }
}

/// Index of the last VMA that starts at or below `page`.
fn search(slots: &[AtomicPtr<Vma>], page: usize) -> Option<usize> {
    slots.partition_point(|slot| vma_at(slot).is_some_and(|vma| vma.start() <= page)).checked_sub(1)
}
