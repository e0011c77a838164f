//! Type-stable storage: VMAs, VMA tables and page maps. They are handed out again and again.
//!
//! A speculative fault may hold a reference to any of these after its owner has returned it. That is harmless because
//! the memory keeps its type: a count keeps rising, a page map keeps its length. What is not used any more gives its
//! pages back when no such fault is left (see [`Readers`]). Only writers come here, never a signal handler.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pagemap::PageMap;
use super::primitive::{Arena, KEPT_MAPS};
use super::readers::Readers;
use super::shelf::Shelf;
use super::storage::Vmas;
use super::table::Spill;
use super::vma::Vma;
use crate::sys::SysError;

/// How many host pages a page map may keep while nobody uses it.
const KEPT_CHUNKS: usize = 4;
/// Sizes are powers of two.
const SIZES: usize = usize::BITS as usize;

/// The storage. Must outlive every space that takes from it.
pub(crate) struct Pool {
    vmas: Shelf<Vma>,
    /// By capacity.
    spills: [Shelf<Spill>; SIZES],
    /// By pages.
    maps: [Shelf<PageMap>; SIZES],
    /// Maps that nobody uses and that hold memory, by age, with their pages.
    worn: Mutex<Vec<(usize, NonNull<PageMap>)>>,
    /// Those who may look at what nobody uses any more.
    readers: Readers,
    /// Where all of it is. Dropped last.
    arena: Arena,
}

// SAFETY: the pointers in `worn` are to maps of the shelves, which are `Sync`.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// The place of a size, which is rounded up to a power of two, and that power.
fn size(count: usize) -> (usize, usize) {
    let count = count.next_power_of_two();
    (count.ilog2() as usize, count)
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new() -> Self {
        Self {
            vmas: Shelf::new(0),
            spills: [const { Shelf::new(0) }; SIZES],
            maps: std::array::from_fn(|place| {
                Shelf::new(1_usize.checked_shl(place as u32).map_or(0, PageMap::annex))
            }),
            worn: Mutex::new(Vec::new()),
            readers: Readers::new(),
            arena: Arena::new(),
        }
    }

    /// Those who look at spaces and their storage without a lock.
    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Address space for storage of other kinds.
    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// `count` VMAs that belong to nobody.
    pub(crate) fn take_vmas(&self, count: usize) -> Result<Vmas<'_>, SysError> {
        let mut vmas = Vmas::new();
        let taken = (0..count).try_for_each(|_| {
            let vma = self.vmas.take(&self.arena, |_| Vma::new())?;
            // SAFETY: an item that was taken is there until it is given back.
            vmas.push(unsafe { vma.as_ref() });
            Ok(())
        });
        if let Err(error) = taken {
            self.give_vmas(vmas);
            return Err(error);
        }
        Ok(vmas)
    }

    /// Takes back VMAs that are cleared and out of every table.
    pub(crate) fn give_vmas<'a>(&self, vmas: impl IntoIterator<Item = &'a Vma>) {
        let mut vmas = vmas.into_iter().map(NonNull::from).peekable();
        if vmas.peek().is_some() {
            self.vmas.give(vmas, &self.readers, drop);
        }
    }

    /// A table for at least `capacity` VMAs, all of whose slots are empty.
    pub(crate) fn take_spill(&self, capacity: usize) -> Result<NonNull<Spill>, SysError> {
        let (place, capacity) = size(capacity);
        self.spills[place].take(&self.arena, |_| Spill::new(capacity))
    }

    /// Takes a table back, all of whose slots are empty again.
    pub(crate) fn give_spill(&self, spill: NonNull<Spill>, capacity: usize) {
        self.spills[size(capacity).0].give([spill], &self.readers, drop);
    }

    fn worn(&self) -> MutexGuard<'_, Vec<(usize, NonNull<PageMap>)>> {
        // Nothing panics while it is half changed.
        self.worn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page map for at least `pages` pages, all absent.
    pub(crate) fn take_map(&self, pages: usize) -> Result<NonNull<PageMap>, SysError> {
        let (place, pages) = size(pages);
        let mut worn = self.worn();
        if let Some(at) = worn.iter().rposition(|(other, _)| *other == pages) {
            return Ok(worn.remove(at).1);
        }
        drop(worn);
        // SAFETY: the annex is as large as such a map wants it, and zero: maps that go away leave it so.
        self.maps[place].take(&self.arena, |annex| unsafe { PageMap::new(pages, annex) })
    }

    /// Takes a map back, all of whose pages are absent again, and which is out of every space.
    pub(crate) fn give_map(&self, map: NonNull<PageMap>, pages: usize) {
        let (_, pages) = size(pages);
        match chunks(map) {
            0 => self.shelve(map, pages),
            _ => self.worn().push((pages, map)),
        }
        self.decommit_surplus();
    }

    fn shelve(&self, map: NonNull<PageMap>, pages: usize) {
        self.maps[size(pages).0].give([map], &self.readers, drop);
    }

    /// Gives the memory of unused maps back, except that of a few small ones.
    fn decommit_surplus(&self) {
        let mut worn = self.worn();
        let count = worn.len();
        if count <= KEPT_MAPS && worn.iter().all(|(_, map)| chunks(*map) <= KEPT_CHUNKS) {
            return;
        }
        let mut index = 0;
        let is_surplus = |(_, map): &mut (usize, NonNull<PageMap>)| {
            index += 1;
            index + KEPT_MAPS <= count || chunks(*map) > KEPT_CHUNKS
        };
        let surplus: Vec<_> = worn.extract_if(.., is_surplus).collect();
        drop(worn);
        // Whoever had found one of them has left, or they are kept until the next map is given back.
        if !self.readers.have_left() {
            self.worn().splice(0..0, surplus);
            return;
        }
        for (pages, map) in surplus {
            // SAFETY: a map that was taken is there until it is given back.
            unsafe { map.as_ref() }.decommit();
            self.shelve(map, pages);
        }
    }

    /// How many items are in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        let spills = self.spills.iter().map(Shelf::in_use).sum::<usize>();
        let maps = self.maps.iter().map(Shelf::in_use).sum::<usize>();
        self.vmas.in_use() + spills + maps - self.worn().len()
    }
}

/// How many host pages the map may hold.
fn chunks(map: NonNull<PageMap>) -> usize {
    // SAFETY: the callers have a map of a shelf that was not given back.
    unsafe { map.as_ref() }.chunks()
}
