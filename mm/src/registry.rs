//! The registry: finds the region that contains an address, in three loads, also in a signal handler.
//!
//! User addresses have 47 bits. One pointer for each 64 MiB of them makes a table of 2^21 entries, 16 MiB of `.bss`,
//! which uses memory only where regions are: pages of the tables that have become empty are given back, some at a time. Regions begin at a slot and consist of whole slots, so an entry has at
//! most one owner. A second table has an entry for each 4 GiB that are one region's own, so that a large region does not
//! need a thousand of the others. A record stays as long as a reader may have found it, so a stale entry is harmless. In a child
//! the table still has its parent's entries. Look-ups skip them, and they keep the child's own regions away from those
//! addresses.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::record::Record;
use crate::space::{PAGE, Reading};
use crate::sys;

/// log2 of the bytes that one entry covers.
const SLOT_SHIFT: u32 = 26;
/// Bytes that one entry covers; regions are multiples of it.
pub(crate) const SLOT: usize = 1 << SLOT_SHIFT;
/// Bits of a user address on this architecture.
const ADDRESS_BITS: u32 = 47;
const SLOTS: usize = 1 << (ADDRESS_BITS - SLOT_SHIFT);

/// Entries in a page of the table.
const PAGE_SLOTS: usize = PAGE / size_of::<AtomicPtr<Record>>();
const PAGES: usize = SLOTS / PAGE_SLOTS;

/// Slots that an entry of the second table covers: 4 GiB.
const COARSE_SLOTS: usize = 1 << (32 - SLOT_SHIFT);

/// Entries of the second table, and its pages.
const COARSE_ENTRIES: usize = SLOTS / COARSE_SLOTS;
const COARSE_PAGES: usize = COARSE_ENTRIES / PAGE_SLOTS;

/// In whole pages.
#[repr(align(4096))]
struct Table<const ENTRIES: usize>([AtomicPtr<Record>; ENTRIES]);

static TABLE: Table<SLOTS> = Table([const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS]);
static COARSE: Table<COARSE_ENTRIES> =
    Table([const { AtomicPtr::new(std::ptr::null_mut()) }; COARSE_ENTRIES]);

/// The pages of both tables, the second behind the first.
const ALL_PAGES: usize = PAGES + COARSE_PAGES;
type PageSet = [u64; ALL_PAGES / 64];

/// Pages of the tables of which entries were removed, one bit each. Held by those who change the table, so that no page is
/// given back which another thread is writing to.
pub(crate) struct Removals {
    pages: Mutex<PageSet>,
}

/// How many pages are looked at together.
const BATCH: u32 = 16;

impl Removals {
    /// None.
    pub(crate) const fn new() -> Self {
        Self { pages: Mutex::new([0; ALL_PAGES / 64]) }
    }

    fn pages(&self) -> MutexGuard<'_, PageSet> {
        // Nothing panics while it is half changed.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the pages back that have no entry any more.
fn give_back_empty(pages: &mut PageSet) {
    for page in (0..ALL_PAGES).filter(|page| pages[page / 64] >> (page % 64) & 1 != 0) {
        let (table, first) = match page.checked_sub(PAGES) {
            None => (&TABLE.0[..], page * PAGE_SLOTS),
            Some(coarse) => (&COARSE.0[..], coarse * PAGE_SLOTS),
        };
        let slots = &table[first..first + PAGE_SLOTS];
        if slots.iter().all(|slot| slot.load(Ordering::Relaxed).is_null()) {
            // SAFETY: a page of a static that is zero before and after; its writers are kept out. It is anonymous
            // memory, since it lies behind the part of the file that has data.
            unsafe { sys::decommit(NonNull::from(slots).cast(), PAGE) };
        }
    }
    *pages = [0; ALL_PAGES / 64];
}

/// All entries that were ever made are between these two slots. Relaxed: read by the thread that made them, or after a
/// fork.
static LOWEST: AtomicUsize = AtomicUsize::new(SLOTS);
static BEYOND: AtomicUsize = AtomicUsize::new(0);

/// The record of the region of this process that contains `addr`, or contained it a moment ago.
pub(crate) fn find<'a>(addr: usize, _reading: &'a Reading<'_>) -> Option<&'a Record> {
    entry(addr >> SLOT_SHIFT).filter(|record| !record.is_inherited())
}

fn entry(slot: usize) -> Option<&'static Record> {
    // Acquire pairs with the Release in `set`: the record is seen as it was registered.
    let coarse = COARSE.0.get(slot / COARSE_SLOTS)?.load(Ordering::Acquire);
    let record = if coarse.is_null() { TABLE.0.get(slot)?.load(Ordering::Acquire) } else { coarse };
    // SAFETY: null or a record, which stays until its entries are gone and all readers have left who may have found it.
    unsafe { record.as_ref() }
}

/// The longest runs of entries that are all `wanted`, as base and length. Async-signal-safe.
pub(crate) fn runs(
    wanted: impl Fn(&'static Record) -> bool,
) -> impl Iterator<Item = (usize, usize)> {
    let is_wanted = move |slot: usize| entry(slot).is_some_and(&wanted);
    let (mut at, end) = (LOWEST.load(Ordering::Relaxed), BEYOND.load(Ordering::Relaxed));
    std::iter::from_fn(move || {
        let start = (at..end).find(|&slot| is_wanted(slot))?;
        at = (start..end).find(|&slot| !is_wanted(slot)).unwrap_or(end);
        Some((start << SLOT_SHIFT, (at - start) << SLOT_SHIFT))
    })
}

/// Whether the table has slots for a region at `base` of `len` bytes.
pub(crate) fn covers(base: usize, len: usize) -> bool {
    base.checked_add(len).is_some_and(|end| end >> SLOT_SHIFT <= SLOTS)
}

/// Whether no region of this process or of an ancestor is registered in `[base, base + len)`, whole slots.
pub(crate) fn is_free(base: usize, len: usize) -> bool {
    (base >> SLOT_SHIFT..(base + len) >> SLOT_SHIFT).all(|slot| entry(slot).is_none())
}

/// Registers `record` for `[base, base + len)`, whole slots. Whether it did: not where a region of this process is, whose
/// addresses may not all be mapped.
pub(crate) fn insert(base: usize, len: usize, record: &'static Record) -> bool {
    LOWEST.fetch_min(base >> SLOT_SHIFT, Ordering::Relaxed);
    BEYOND.fetch_max((base + len) >> SLOT_SHIFT, Ordering::Relaxed);
    let _pages = record.process.removals.pages();
    let is_ours = |slot| entry(slot).is_some_and(|old| !old.is_inherited());
    let free = !(base >> SLOT_SHIFT..(base + len) >> SLOT_SHIFT).any(is_ours);
    if free {
        set(base, len, std::ptr::from_ref(record).cast_mut());
    }
    free
}

/// Unregisters the range of `record`.
pub(crate) fn remove(base: usize, len: usize, record: &Record) {
    let mut pages = record.process.removals.pages();
    set(base, len, std::ptr::null_mut());
    for page in places(base, len).map(|place| place.page()) {
        pages[page / 64] |= 1 << (page % 64);
    }
    if pages.iter().map(|word| word.count_ones()).sum::<u32>() >= BATCH {
        give_back_empty(&mut pages);
    }
}

fn set(base: usize, len: usize, record: *mut Record) {
    for entry in entries(base, len) {
        // Release pairs with the Acquire in `entry`.
        entry.store(record, Ordering::Release);
    }
}

/// The entries that a region at `base` of `len` bytes has.
fn entries(base: usize, len: usize) -> impl Iterator<Item = &'static AtomicPtr<Record>> {
    places(base, len).map(|place| match place {
        Place::Fine(at) => &TABLE.0[at],
        Place::Coarse(at) => &COARSE.0[at],
    })
}

/// Where an entry is: its number in one of the tables.
enum Place {
    Fine(usize),
    Coarse(usize),
}

impl Place {
    /// The page that it is in.
    fn page(&self) -> usize {
        match self {
            Place::Fine(at) => at / PAGE_SLOTS,
            Place::Coarse(at) => PAGES + at / PAGE_SLOTS,
        }
    }
}

/// The places for a region at `base` of `len` bytes: one for each 4 GiB that are its own, one for each slot beside them.
fn places(base: usize, len: usize) -> impl Iterator<Item = Place> {
    let (mut slot, end) = (base >> SLOT_SHIFT, (base + len) >> SLOT_SHIFT);
    std::iter::from_fn(move || {
        if slot >= end {
            return None;
        }
        let at = slot;
        let whole = at.is_multiple_of(COARSE_SLOTS) && at + COARSE_SLOTS <= end;
        slot += if whole { COARSE_SLOTS } else { 1 };
        Some(if whole { Place::Coarse(at / COARSE_SLOTS) } else { Place::Fine(at) })
    })
}

#[cfg(test)]
mod tests {
    use super::{ALL_PAGES, COARSE, COARSE_SLOTS, PAGE_SLOTS, Place, SLOT, TABLE};
    use super::{entries, give_back_empty};
    use crate::space::PAGE;
    use crate::sys::LINUX;
    use crate::{RegionOptions, is_managed};
    use std::sync::atomic::Ordering;

    #[test]
    fn pages_of_both_tables_are_given_back_when_they_are_empty() {
        // Addresses that no mapping of a test has.
        let (fine, coarse) = (&TABLE.0[PAGE_SLOTS * 64], &COARSE.0[PAGE_SLOTS]);
        for (place, entry) in
            [(Place::Fine(PAGE_SLOTS * 64), fine), (Place::Coarse(PAGE_SLOTS), coarse)]
        {
            let mut pages = [0; ALL_PAGES / 64];
            pages[place.page() / 64] |= 1 << (place.page() % 64);
            let mut first = pages;
            let addr = std::ptr::from_ref(entry).addr();
            entry.store(std::ptr::without_provenance_mut(8), Ordering::Relaxed);
            give_back_empty(&mut first);
            assert_eq!(LINUX.resident(addr, PAGE), PAGE);
            entry.store(std::ptr::null_mut(), Ordering::Relaxed);
            give_back_empty(&mut pages);
            assert_eq!(LINUX.resident(addr, PAGE), 0);
        }
    }

    #[test]
    fn every_slot_of_a_large_region_is_found() {
        // Of its own are at least one whole stretch of 4 GiB, and slots beside it.
        for len in [8 << 30, (9 << 30) + SLOT, 66 << 30] {
            let regions = [(); 3].map(|()| RegionOptions::new(len).build().unwrap());
            for region in &regions {
                let (base, len) = (region.base().addr(), region.reserved());
                assert!((base..base + len).step_by(SLOT).all(is_managed), "{len:#x}");
                assert!(
                    entries(base, len).count() <= len / (SLOT * COARSE_SLOTS) + 2 * COARSE_SLOTS
                );
            }
        }
    }

    #[test]
    fn entries_are_of_4_gib_where_those_are_whole() {
        const STRETCH: usize = SLOT * COARSE_SLOTS;
        let count = |base, len| entries(base, len).count();
        assert_eq!(count(STRETCH * 5, STRETCH * 3), 3);
        assert_eq!(count(STRETCH * 5 + SLOT, STRETCH), COARSE_SLOTS);
        assert_eq!(count(STRETCH * 5 - SLOT, STRETCH * 2 + SLOT * 2), 1 + 2 + 1);
        assert_eq!(count(STRETCH * 5, SLOT), 1);
        let of = |base| entries(base, SLOT).next().map(std::ptr::from_ref);
        assert_ne!(of(STRETCH), of(STRETCH * 2));
    }

    #[test]
    fn addresses_are_found_from_the_first_to_the_last_byte_while_the_region_lives() {
        let region = RegionOptions::new(1 << 30).guard(1 << 30).build().unwrap();
        let (base, end) = (region.base().addr(), region.base().addr() + region.reserved());
        assert!(is_managed(base) && is_managed(base + (1 << 30)) && is_managed(end - 1));
        drop(region);
        assert!(
            [0, usize::MAX, 1 << 47, (&raw const base).addr()]
                .iter()
                .all(|&addr| !is_managed(addr))
        );
    }
}
