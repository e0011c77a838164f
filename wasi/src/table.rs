//! The descriptor table, from numbers to descriptors.
//!
//! The lock is held only for the look-up, never during a system call. So a thread that blocks on a descriptor stops no
//! other thread. A descriptor that is closed while another thread uses it lives until that use ends, as in the kernel.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::abi::Errno;
use crate::descriptor::Descriptor;

/// All open descriptors of a guest.
pub(crate) struct Table {
    slots: RwLock<Slots>,
    /// The most descriptors there may be, including those that are being opened.
    limit: usize,
}

#[derive(Default)]
struct Slots {
    entries: Vec<Option<Arc<Descriptor>>>,
    /// No number below this one is free.
    search_from: usize,
    /// Descriptors that are open or being opened.
    taken: usize,
}

/// Room for a descriptor, held while the descriptor is being opened.
pub(crate) struct Reserved<'a> {
    table: &'a Table,
}

impl Table {
    /// A table for `limit` descriptors.
    pub(crate) fn new(limit: usize) -> Self {
        Self { slots: RwLock::default(), limit }
    }

    /// Room for one more descriptor. It is taken before the host opens anything, as open(2) does, so that a refused
    /// call has changed nothing.
    pub(crate) fn reserve(&self) -> Result<Reserved<'_>, Errno> {
        let mut slots = self.write();
        if slots.taken >= self.limit {
            return Err(Errno::MFile);
        }
        slots.taken += 1;
        Ok(Reserved { table: self })
    }

    /// The descriptor with number `fd`.
    pub(crate) fn get(&self, fd: u32) -> Result<Arc<Descriptor>, Errno> {
        let slots = self.read();
        let entry = slots.entries.get(fd as usize).and_then(Option::as_ref);
        entry.cloned().ok_or(Errno::BadF)
    }

    /// Removes number `fd` from the table. Its descriptor is closed when its last user is done.
    pub(crate) fn remove(&self, fd: u32) -> Result<Arc<Descriptor>, Errno> {
        self.write().take(fd)
    }

    /// Makes `to` refer to the descriptor of `from`, and frees `from`. Both must be open.
    ///
    /// The old descriptor of `to` is returned instead of dropped, so that it is not closed under the lock.
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

    // No holder can panic halfway through a change, so a poisoned table is consistent.
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
        self.taken -= 1;
        Ok(entry)
    }

    /// Gives `descriptor` the lowest free number; there is room for it.
    fn put(&mut self, descriptor: Descriptor) -> u32 {
        let from = self.search_from;
        let free = self.entries.iter().skip(from).position(Option::is_none);
        let index = free.map_or(self.entries.len(), |offset| from + offset);
        let entry = Some(Arc::new(descriptor));
        match self.entries.get_mut(index) {
            Some(slot) => *slot = entry,
            None => self.entries.push(entry),
        }
        self.search_from = index + 1;
        u32::try_from(index).expect("tables are limited to 31 bits")
    }
}

impl Reserved<'_> {
    /// Gives `descriptor` the lowest free number.
    pub(crate) fn fill(self, descriptor: Descriptor) -> u32 {
        let number = self.table.write().put(descriptor);
        // The descriptor takes over the room.
        std::mem::forget(self);
        number
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.table.write().taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> Descriptor {
        Descriptor::output(Box::new(std::io::sink()))
    }

    fn table() -> Table {
        Table::new(10)
    }

    fn insert(table: &Table) -> u32 {
        table.reserve().unwrap().fill(descriptor())
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let table = Table::new(3);
        assert_eq!([insert(&table), insert(&table)], [0, 1]);
        let third = table.reserve().unwrap();
        assert_eq!(table.reserve().err(), Some(Errno::MFile));
        // A descriptor that could not be opened frees its room, and so does one that is closed.
        drop(third);
        assert_eq!(insert(&table), 2);
        table.remove(0).unwrap();
        assert_eq!(insert(&table), 0);
        drop(table.renumber(2, 1).unwrap());
        assert_eq!(insert(&table), 2);
        assert_eq!(table.reserve().err(), Some(Errno::MFile));
    }

    #[test]
    fn the_lowest_number_is_reused_first() {
        let table = table();
        for want in 0..5 {
            assert_eq!(insert(&table), want);
        }
        for fd in [3, 1] {
            table.remove(fd).unwrap();
        }
        assert_eq!(insert(&table), 1);
        assert_eq!(insert(&table), 3);
        assert_eq!(insert(&table), 5);
    }

    #[test]
    fn renumbering_needs_two_open_numbers() {
        let table = table();
        for _ in 0..3 {
            insert(&table);
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
        let table = table();
        let fd = insert(&table);
        let user = table.get(fd).unwrap();
        table.remove(fd).unwrap();
        assert_eq!(table.get(fd).err(), Some(Errno::BadF));
        assert_eq!(Arc::strong_count(&user), 1);
    }
}
