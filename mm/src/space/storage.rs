//! Where VMAs and table slots come from, and where they go: the process's pool, or, in a signal handler, which must not
//! wait for the pool's lock, a few spares that the space has taken before.

use smallvec::SmallVec;

use super::pool::Pool;
use super::primitive::{LockGuard, Ordering, PlainPtr, SPARES};
use super::table::Held;
use super::vma::Vma;

/// VMAs of one operation. A change inside of one VMA concerns five: no allocation.
pub(super) type Vmas<'a> = SmallVec<[&'a Vma; 8]>;

/// A source of VMAs and table slots.
pub(super) trait Storage {
    /// `added` unused VMAs, with room for them in `table`; `None` if there are not so many, or if there will be no
    /// place for `removed` others.
    fn take<'a>(&'a self, table: &Held<'_>, added: usize, removed: usize) -> Option<Vmas<'a>>;

    /// Takes back VMAs that are cleared and out of every table.
    fn give(&self, vmas: &[&Vma]);

    /// Makes the spares of a space as many as they should be, where that is possible.
    fn level(&self, spares: &HeldSpares<'_>);
}

impl Storage for Pool {
    fn take<'a>(&'a self, table: &Held<'_>, added: usize, _removed: usize) -> Option<Vmas<'a>> {
        if !table.reserve(table.len() + added, self) {
            return None;
        }
        self.take_vmas(added).ok()
    }

    fn give(&self, vmas: &[&Vma]) {
        self.give_vmas(vmas.iter().copied());
    }

    fn level(&self, spares: &HeldSpares<'_>) {
        let count = spares.count(false);
        if count < SPARES {
            if let Ok(vmas) = self.take_vmas(SPARES - count) {
                Storage::give(spares, &vmas);
            }
        } else {
            self.give_vmas((SPARES..count).filter_map(|_| spares.pop()));
        }
    }
}

/// The spare VMAs of a space. Used under its writer lock only, so Relaxed.
pub(super) struct Spares {
    /// Half of them are full at rest: opened windows take VMAs, and merged ones bring some.
    slots: [PlainPtr<Vma>; SPARES * 2],
}

/// The spares, for the holder of the writer lock. Async-signal-safe.
pub(super) struct HeldSpares<'a>(&'a Spares);

impl Spares {
    /// None.
    pub(super) fn new() -> Self {
        Self { slots: std::array::from_fn(|_| PlainPtr::new(std::ptr::null_mut())) }
    }

    /// The spares for the holder of the writer lock.
    pub(super) fn held<'a>(&'a self, _held: &'a LockGuard<'_>) -> HeldSpares<'a> {
        HeldSpares(self)
    }
}

impl HeldSpares<'_> {
    /// Returns all to the pool.
    pub(super) fn empty(&self, pool: &Pool) {
        pool.give_vmas(std::iter::from_fn(|| self.pop()));
    }

    /// How many places are empty, or full.
    pub(super) fn count(&self, empty: bool) -> usize {
        let is_empty = |slot: &&PlainPtr<Vma>| slot.load(Ordering::Relaxed).is_null();
        self.0.slots.iter().filter(|slot| is_empty(slot) == empty).count()
    }

    fn pop(&self) -> Option<&Vma> {
        self.0.slots.iter().find_map(|slot| {
            // SAFETY: null or a VMA of the pool, which stays until it is given back.
            unsafe { slot.swap(std::ptr::null_mut(), Ordering::Relaxed).as_ref() }
        })
    }
}

impl Storage for HeldSpares<'_> {
    fn take<'a>(&'a self, table: &Held<'_>, added: usize, removed: usize) -> Option<Vmas<'a>> {
        let fits = table.has_room(table.len() + added)
            && self.count(false) >= added
            && self.count(true) >= removed;
        fits.then(|| (0..added).filter_map(|_| self.pop()).collect())
    }

    fn give(&self, vmas: &[&Vma]) {
        let empty = self.0.slots.iter().filter(|slot| slot.load(Ordering::Relaxed).is_null());
        for (slot, vma) in empty.zip(vmas) {
            slot.store(std::ptr::from_ref(*vma).cast_mut(), Ordering::Relaxed);
        }
    }

    fn level(&self, _spares: &HeldSpares<'_>) {}
}
