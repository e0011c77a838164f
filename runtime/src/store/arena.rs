//! [`Arena`]: parts of a store, which never move and live as long as the store.
//!
//! Compiled code and other parts hold raw pointers to them. So the arena, too, owns them through
//! raw pointers: moving the store must not count as an access to its parts.

use crate::fallible::{self, Few, NoMemory};
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};
use std::ptr::NonNull;

/// Values at fixed addresses, in the order in which they were added.
pub(super) struct Arena<T> {
    parts: Few<NonNull<T>, 1>,
    owned: PhantomData<T>,
}

impl<T> Default for Arena<T> {
    fn default() -> Arena<T> {
        Arena { parts: Few::new(), owned: PhantomData }
    }
}

impl<T> Arena<T> {
    /// Takes over a value, which keeps its address; returns its index.
    ///
    /// # Errors
    ///
    /// When the system has no memory for the entry.
    pub(super) fn push(&mut self, value: Box<T>) -> Result<usize, NoMemory> {
        fallible::reserve_few(&mut self.parts, 1)?;
        self.parts.push(NonNull::from(Box::leak(value)));
        Ok(self.parts.len() - 1)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Drops the value that was added last.
    pub(super) fn pop(&mut self) {
        if let Some(part) = self.parts.pop() {
            // SAFETY: it came from a box, and its owner says that nothing uses it.
            drop(unsafe { Box::from_raw(part.as_ptr()) });
        }
    }

    /// All values.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        // SAFETY: owned by this, which is borrowed.
        self.parts.iter().map(|part| unsafe { part.as_ref() })
    }

    /// The address of a value, valid until it is dropped.
    pub(super) fn get(&self, index: usize) -> NonNull<T> {
        self.parts[index]
    }

    /// All values.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        // SAFETY: owned by this, which is borrowed mutably, and all are different.
        self.parts.iter_mut().map(|part| unsafe { part.as_mut() })
    }

    /// Two values at once, which must be different ones.
    pub(super) fn two_mut(&mut self, a: usize, b: usize) -> [&mut T; 2] {
        assert_ne!(a, b);
        let [mut a, mut b] = [self.parts[a], self.parts[b]];
        // SAFETY: both are owned by this, which is borrowed mutably, and they are not the same.
        unsafe { [a.as_mut(), b.as_mut()] }
    }
}

impl<T> Index<usize> for Arena<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        // SAFETY: owned by this until it is dropped.
        unsafe { self.parts[index].as_ref() }
    }
}

impl<T> IndexMut<usize> for Arena<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        // SAFETY: as above, and this is borrowed mutably.
        unsafe { self.parts[index].as_mut() }
    }
}

impl<T> Drop for Arena<T> {
    fn drop(&mut self) {
        for &part in &self.parts {
            // SAFETY: it came from a box, and nothing uses it any more.
            drop(unsafe { Box::from_raw(part.as_ptr()) });
        }
    }
}
