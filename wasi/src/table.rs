//! The descriptor table: numbers to descriptors.
//!
//! The lock is held for the look-up only, never across a system call, so a thread that blocks on one
//! descriptor holds up nobody. A descriptor that is closed while another thread uses it lives
//! until that use ends, as in the kernel.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::abi::Errno;
use crate::descriptor::Descriptor;

/// All open descriptors of a guest.
#[derive(Default)]
pub(crate) struct Table {
    slots: RwLock<Slots>,
}

#[derive(Default)]
struct Slots {
    entries: Vec<Option<Arc<Descriptor>>>,
    /// No number below this one is free.
    search_from: usize,
}

impl Table {
    /// The descriptor with number `fd`.
    pub(crate) fn get(&self, fd: u32) -> Result<Arc<Descriptor>, Errno> {
        let slots = self.read();
        let entry = slots.entries.get(fd as usize).and_then(Option::as_ref);
        entry.cloned().ok_or(Errno::BadF)
    }

    /// Gives `descriptor` the lowest free number.
    pub(crate) fn insert(&self, descriptor: Descriptor) -> Result<u32, Errno> {
        let mut slots = self.write();
        let from = slots.search_from;
        let free = slots.entries.iter().skip(from).position(Option::is_none);
        let index = free.map_or(slots.entries.len(), |offset| from + offset);
        // Numbers are 31 bits: programs keep them in an `int`, where negative means failed.
        let fd = i32::try_from(index).map_err(|_| Errno::MFile)?;
        let entry = Some(Arc::new(descriptor));
        match slots.entries.get_mut(index) {
            Some(slot) => *slot = entry,
            None => slots.entries.push(entry),
        }
        slots.search_from = index + 1;
        Ok(fd.cast_unsigned())
    }

    /// Takes number `fd` out of the table. What it stood for is closed when its last user is done.
    pub(crate) fn remove(&self, fd: u32) -> Result<Arc<Descriptor>, Errno> {
        self.write().take(fd)
    }

    /// Makes `to` stand for what `from` stands for, and frees `from`. Both must be open.
    ///
    /// What `to` stood for is returned rather than dropped, so that it is not closed under the lock.
    pub(crate) fn renumber(&self, from: u32, to: u32) -> Result<Option<Arc<Descriptor>>, Errno> {
        let mut slots = self.write();
        if slots.entries.get(to as usize).is_none_or(Option::is_none) {
            return Err(Errno::BadF);
        }
        if from == to {
            return Ok(None);
        }
        let moved = slots.take(from)?;
        Ok(slots.entries[to as usize].replace(moved))
    }

    // No holder can panic halfway through a change, so a poisoned table is a good one.
    fn read(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Slots> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn take(&mut self, fd: u32) -> Result<Arc<Descriptor>, Errno> {
        let index = fd as usize;
        let entry = self.entries.get_mut(index).and_then(Option::take).ok_or(Errno::BadF)?;
        self.search_from = self.search_from.min(index);
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> Descriptor {
        Descriptor::output(Box::new(std::io::sink()))
    }

    #[test]
    fn the_lowest_number_is_reused_first() {
        let table = Table::default();
        for want in 0..5 {
            assert_eq!(table.insert(descriptor()), Ok(want));
        }
        for fd in [3, 1] {
            table.remove(fd).unwrap();
        }
        assert_eq!(table.insert(descriptor()), Ok(1));
        assert_eq!(table.insert(descriptor()), Ok(3));
        assert_eq!(table.insert(descriptor()), Ok(5));
    }

    #[test]
    fn renumbering_needs_two_open_numbers() {
        let table = Table::default();
        for _ in 0..3 {
            table.insert(descriptor()).unwrap();
        }
        let second = table.get(1).unwrap();
        assert!(table.renumber(1, 2).unwrap().is_some());
        assert!(Arc::ptr_eq(&table.get(2).unwrap(), &second));
        assert_eq!(table.get(1).err(), Some(Errno::BadF));
        assert_eq!(table.renumber(2, 1).err(), Some(Errno::BadF));
        assert_eq!(table.renumber(2, u32::MAX).err(), Some(Errno::BadF));
        assert_eq!(table.renumber(9, 2).err(), Some(Errno::BadF));
        assert!(table.renumber(2, 2).unwrap().is_none());
        assert!(table.get(2).is_ok());
    }

    #[test]
    fn a_closed_descriptor_lives_as_long_as_its_user() {
        let table = Table::default();
        let fd = table.insert(descriptor()).unwrap();
        let user = table.get(fd).unwrap();
        table.remove(fd).unwrap();
        assert_eq!(table.get(fd).err(), Some(Errno::BadF));
        assert_eq!(Arc::strong_count(&user), 1);
    }
}
