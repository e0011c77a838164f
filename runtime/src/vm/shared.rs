//! [`Shared`]: what compiled code has pointers to.

use crate::fallible::{self, NoMemory};
use std::cell::UnsafeCell;
use std::ptr::NonNull;

/// A value that compiled code reads or writes through pointers that it keeps, owned by this.
///
/// A Rust reference says that, while it is used, nobody else writes what it leads to; a mutable one, that
/// nobody else uses it. Compiled code knows nothing of that. So what it has pointers to lies in an
/// allocation of its own, which references to the owner do not reach into: the owner may be borrowed,
/// mutably too, and be moved, and all pointers that [`Shared::get`] has handed out stay good until it is
/// dropped. It is used by pointer only, by one thread at a time: the one that may use the store.
pub(crate) struct Shared<T: ?Sized>(NonNull<UnsafeCell<T>>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Shared<T> {
        Shared(NonNull::from(Box::leak(Box::new(UnsafeCell::new(value)))))
    }
}

impl<T: Clone> Shared<[T]> {
    /// An array of `len` times the same.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(crate) fn array(value: T, len: usize) -> Result<Shared<[T]>, NoMemory> {
        let values: *mut [T] = Box::into_raw(fallible::repeated(value, len)?.into_boxed_slice());
        // A cell looks like what is in it.
        let cells = values as *mut UnsafeCell<[T]>;
        // SAFETY: a box is not null.
        Ok(Shared(unsafe { NonNull::new_unchecked(cells) }))
    }
}

impl<T: ?Sized> Shared<T> {
    /// The one way to it. Reading and writing is for whoever may use the store.
    pub(crate) fn get(&self) -> *mut T {
        UnsafeCell::raw_get(self.0.as_ptr())
    }
}

impl<T: ?Sized> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: it came out of a box, and whoever drops the owner promises that no compiled code
        // will use it any more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<T: ?Sized> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shared").field(&self.0).finish()
    }
}

// SAFETY: it owns its value as a box does.
unsafe impl<T: ?Sized + Send> Send for Shared<T> {}
// SAFETY: by reference it gives out an address only.
unsafe impl<T: ?Sized> Sync for Shared<T> {}

#[cfg(test)]
mod tests {
    use super::Shared;
    use std::rc::Rc;

    /// As a store has it: used by pointer while its owner is borrowed, and moved.
    #[test]
    fn pointers_stay_good_while_the_owner_is_borrowed_and_moved() {
        struct Owner {
            shared: Shared<[u64]>,
            other: u64,
        }
        let mut owner = Owner { shared: Shared::array(1, 4).unwrap(), other: 0 };
        let compiled: *mut u64 = owner.shared.get().cast();
        let borrowed = &mut owner;
        // SAFETY: of the array, which `borrowed` does not reach into.
        unsafe { compiled.add(3).write(7) };
        borrowed.other += 1;
        let moved = Box::new(owner);
        // SAFETY: as above.
        unsafe { compiled.write(5) };
        let values = moved.shared.get();
        // SAFETY: nothing else uses it.
        assert_eq!(unsafe { &*values }, [5, 1, 1, 7]);
        assert_eq!(moved.other, 1);
    }

    #[test]
    fn what_is_shared_goes_with_its_owner() {
        let value = Rc::new(());
        let one = Shared::new(Rc::clone(&value));
        let many = Shared::array(Rc::clone(&value), 3).unwrap();
        assert_eq!(Rc::strong_count(&value), 5);
        drop((one, many));
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
