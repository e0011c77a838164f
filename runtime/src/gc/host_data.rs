//! [`HostData`]: the host values that objects of the heap stand for.
//!
//! Such an object holds the index of a value in this table. A collection marks the indices in live
//! objects; the other values are dropped after it.

use crate::fallible::{self, NoMemory};
use std::any::Any;

type Value = Box<dyn Any + Send + Sync>;

/// Host values by the index that their object holds.
#[derive(Default)]
pub(crate) struct HostData {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

struct Entry {
    /// `None` while the index is free, except during a collection.
    value: Option<Value>,
    is_free: bool,
    alive: bool,
}

impl std::fmt::Debug for HostData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostData").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl HostData {
    /// Takes over a value; returns its index. A heap has room for fewer objects than there are
    /// indices.
    ///
    /// # Errors
    ///
    /// When the system has no memory for the entry.
    pub(crate) fn insert(&mut self, value: Value) -> Result<u32, NoMemory> {
        let entry = Entry { value: Some(value), is_free: false, alive: false };
        match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = entry;
                Ok(place)
            }
            None => {
                fallible::push(&mut self.entries, entry)?;
                // Room for all indices to be free at once, so that a collection needs none.
                if let Err(error) = fallible::reserve(&mut self.free, self.entries.len()) {
                    self.entries.pop();
                    return Err(error);
                }
                Ok(u32::try_from(self.entries.len() - 1).expect("an object for each"))
            }
        }
    }

    pub(crate) fn get(&self, place: u32) -> &(dyn Any + Send + Sync) {
        let value = self.entries[place as usize].value.as_deref();
        value.expect("its object is alive")
    }

    pub(crate) fn get_mut(&mut self, place: u32) -> &mut (dyn Any + Send + Sync) {
        let value = self.entries[place as usize].value.as_deref_mut();
        value.expect("its object is alive")
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Marks the index of a live object.
    pub(super) fn mark(&mut self, place: u32) {
        self.entries[place as usize].alive = true;
    }

    /// Frees the indices whose objects the collection has not found. Their values stay until
    /// [`HostData::drop_dead`]. Allocates nothing.
    pub(super) fn sweep(&mut self) {
        for (place, entry) in self.entries.iter_mut().enumerate() {
            let is_alive = std::mem::take(&mut entry.alive);
            if !is_alive && entry.value.is_some() && !entry.is_free {
                entry.is_free = true;
                self.free.push(place as u32);
            }
        }
    }

    /// Drops the values of free indices. Called when the heap is consistent again, because their
    /// destructors are the host's code.
    pub(super) fn drop_dead(&mut self) {
        for &place in &self.free {
            drop(self.entries[place as usize].value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_taken_out_and_its_place_used_again() {
        let mut data = HostData::default();
        let (a, b) = (data.insert(Box::new(1)).unwrap(), data.insert(Box::new(2)).unwrap());
        data.mark(b);
        data.sweep();
        data.drop_dead();
        assert_eq!(data.len(), 1);
        assert_eq!(data.insert(Box::new(3)), Ok(a));
        assert_eq!(data.get(b).downcast_ref(), Some(&2));
        data.sweep();
        data.drop_dead();
        assert_eq!(data.len(), 0);
    }
}
