//! `List`: a vector in an arena. In the allocator's memory, a block that grows and stays would keep everything below it
//! resident after all else is gone.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::{ptr, slice};

use super::primitive::{Arena, Use, decommit};
use super::types::PAGE;
use crate::sys::SysError;

/// Elements, in a piece that is replaced by one of twice the size when it is full. They are not dropped.
pub(super) struct List<T> {
    start: NonNull<T>,
    len: usize,
    capacity: usize,
}

impl<T> List<T> {
    /// Empty.
    pub(super) const fn new() -> Self {
        Self { start: NonNull::dangling(), len: 0, capacity: 0 }
    }

    /// Inserts `element` at `index`.
    pub(super) fn insert(
        &mut self,
        index: usize,
        element: T,
        arena: &Arena,
    ) -> Result<(), SysError> {
        assert!(index <= self.len);
        if self.len == self.capacity {
            self.grow(arena)?;
        }
        // SAFETY: there is room for one more, and `index` is at most the number of elements.
        let at = unsafe { self.start.as_ptr().add(index) };
        // SAFETY: as above; nobody has a reference to an element.
        unsafe { ptr::copy(at, at.add(1), self.len - index) };
        // SAFETY: as above.
        unsafe { at.write(element) };
        self.len += 1;
        Ok(())
    }

    fn grow(&mut self, arena: &Arena) -> Result<(), SysError> {
        let bytes = (self.capacity * 2 * size_of::<T>()).max(PAGE).next_multiple_of(PAGE);
        let start = arena.take(bytes, Use::Dense)?.cast();
        // SAFETY: two pieces of an arena, the new one at least as large.
        unsafe { ptr::copy_nonoverlapping(self.start.as_ptr(), start.as_ptr(), self.len) };
        let before = (self.capacity * size_of::<T>()).next_multiple_of(PAGE);
        if before != 0 {
            // SAFETY: a piece of the arena whose elements have moved.
            unsafe { decommit(self.start.cast(), before) };
        }
        (self.start, self.capacity) = (start, bytes / size_of::<T>());
        Ok(())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many elements are there.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the list is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}
