//! The registry: finds the region that contains an address, in two loads, also in a signal handler.
//!
//! User addresses have 47 bits. One pointer for each 64 MiB of them makes a table of 2^21 entries, 16 MiB of `.bss`,
//! which uses memory only where regions are. Regions begin at a slot and consist of whole slots, so an entry has at
//! most one owner. Entries point to records that are never freed (`record`), so a stale entry is harmless. In a child
//! the table still has its parent's entries. Look-ups skip them, and they keep the child's own regions away from those
//! addresses.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::record::Record;

/// log2 of the bytes that one entry covers.
const SLOT_SHIFT: u32 = 26;
/// Bytes that one entry covers; regions are multiples of it.
pub(crate) const SLOT: usize = 1 << SLOT_SHIFT;
/// Bits of a user address on this architecture.
const ADDRESS_BITS: u32 = 47;
const SLOTS: usize = 1 << (ADDRESS_BITS - SLOT_SHIFT);

static TABLE: [AtomicPtr<Record>; SLOTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS];

/// All entries that were ever made are between these two slots. Relaxed: read by the thread that made them, or after a
/// fork.
static LOWEST: AtomicUsize = AtomicUsize::new(SLOTS);
static BEYOND: AtomicUsize = AtomicUsize::new(0);

/// The record of the region of this process that contains `addr`, or contained it a moment ago.
pub(crate) fn find(addr: usize) -> Option<&'static Record> {
    entry(addr >> SLOT_SHIFT).filter(|record| !record.is_inherited())
}

fn entry(slot: usize) -> Option<&'static Record> {
    // Acquire pairs with the Release in `insert`: the record is seen as it was registered.
    let record = TABLE.get(slot)?.load(Ordering::Acquire);
    // SAFETY: null or a record, and records are never freed.
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

/// Registers `record` for `[base, base + len)`, whole slots.
pub(crate) fn insert(base: usize, len: usize, record: &'static Record) {
    LOWEST.fetch_min(base >> SLOT_SHIFT, Ordering::Relaxed);
    BEYOND.fetch_max((base + len) >> SLOT_SHIFT, Ordering::Relaxed);
    set(base, len, std::ptr::from_ref(record).cast_mut());
}

/// Unregisters the range.
pub(crate) fn remove(base: usize, len: usize) {
    set(base, len, std::ptr::null_mut());
}

fn set(base: usize, len: usize, record: *mut Record) {
    for slot in &TABLE[base >> SLOT_SHIFT..(base + len) >> SLOT_SHIFT] {
        // Release pairs with the Acquire in `find`.
        slot.store(record, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use crate::{RegionOptions, is_managed};

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
