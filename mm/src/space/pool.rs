//! Type-stable storage: VMAs, VMA tables and page maps. They are handed out again and again, and freed only with the
//! pool.
//!
//! A speculative fault may hold a reference to any of these after its owner has returned it. That is harmless because
//! the memory keeps its type: a count keeps rising, a page map keeps its length. Only writers come here, never a signal
//! handler, so a plain mutex is right.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pagemap::PageMap;
use super::storage::Vmas;
use super::table::Spill;
use super::vma::Vma;

/// The storage. Must outlive every space that takes from it.
pub(crate) struct Pool {
    inner: Mutex<Inner>,
}

struct Inner {
    vmas: Shelf<Vma>,
    /// By capacity.
    spills: BTreeMap<usize, Shelf<Spill>>,
    /// By pages.
    maps: BTreeMap<usize, Shelf<PageMap>>,
}

/// All items of one kind that were ever made, and those of them that are free.
struct Shelf<T> {
    all: Vec<*mut T>,
    free: Vec<*mut T>,
}

// SAFETY: the pointers own what they point to, and all of it is `Sync` (atomics only).
unsafe impl<T: Send + Sync> Send for Shelf<T> {}

impl<T> Shelf<T> {
    const fn new() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }

    fn take(&mut self, make: impl FnOnce() -> T) -> *mut T {
        self.free.pop().unwrap_or_else(|| {
            let fresh = Box::into_raw(Box::new(make()));
            self.all.push(fresh);
            fresh
        })
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Shelf<T> {
    fn drop(&mut self) {
        for &item in &self.all {
            // SAFETY: made by `Box::into_raw` in `take` and freed nowhere else; the pool outlives its users.
            drop(unsafe { Box::from_raw(item) });
        }
    }
}

impl Pool {
    /// An empty pool.
    pub(crate) const fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                vmas: Shelf::new(),
                spills: BTreeMap::new(),
                maps: BTreeMap::new(),
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way through a change, so a poisoned pool is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `count` VMAs that belong to nobody.
    pub(crate) fn take_vmas(&self, count: usize) -> Vmas<'_> {
        if count == 0 {
            return Vmas::new();
        }
        let mut inner = self.inner();
        // SAFETY: storage of the pool lives as long as the pool.
        (0..count).map(|_| unsafe { &*inner.vmas.take(Vma::new) }).collect()
    }

    /// Takes back VMAs that are cleared and out of every table.
    pub(crate) fn give_vmas<'a>(&self, vmas: impl IntoIterator<Item = &'a Vma>) {
        let mut vmas = vmas.into_iter().peekable();
        if vmas.peek().is_some() {
            self.inner().vmas.free.extend(vmas.map(|vma| std::ptr::from_ref(vma).cast_mut()));
        }
    }

    /// A table for at least `capacity` VMAs.
    pub(crate) fn take_spill(&self, capacity: usize) -> *mut Spill {
        let capacity = capacity.next_power_of_two();
        self.inner().spills.entry(capacity).or_default().take(|| Spill::new(capacity))
    }

    /// Takes a table back.
    pub(crate) fn give_spill(&self, spill: *mut Spill, capacity: usize) {
        self.inner().spills.entry(capacity).or_default().free.push(spill);
    }

    /// A page map for at least `pages` pages, all absent.
    pub(crate) fn take_map(&self, pages: usize) -> *mut PageMap {
        let pages = pages.next_power_of_two();
        self.inner().maps.entry(pages).or_default().take(|| PageMap::new(pages))
    }

    /// Takes a map back, all of whose pages are absent again.
    pub(crate) fn give_map(&self, map: *mut PageMap, pages: usize) {
        self.inner().maps.entry(pages.next_power_of_two()).or_default().free.push(map);
    }

    /// How many items are in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        fn out<T>(shelf: &Shelf<T>) -> usize {
            shelf.all.len() - shelf.free.len()
        }
        let inner = self.inner();
        out(&inner.vmas)
            + inner.spills.values().map(out).sum::<usize>()
            + inner.maps.values().map(out).sum::<usize>()
    }
}
