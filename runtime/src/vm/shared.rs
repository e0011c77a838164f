//! [`Shared`]: values that compiled code has pointers to.

use crate::fallible::{self, NoMemory};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// An owned value that compiled code reads or writes through pointers which it keeps.
///
/// A Rust reference promises that, while it is used, nothing else writes its target; a mutable one, that nothing else
/// uses it. Compiled code keeps no such promise. So the values that it has pointers to are in allocations of their own,
/// which references to the owner do not reach into: the owner may be borrowed, even mutably, and moved, and all
/// pointers from [`Shared::get`] stay valid until it is dropped. The value is used by pointer only, by one thread at a
/// time: the one that may use the store.
pub(crate) struct Shared<T: ?Sized>(NonNull<UnsafeCell<T>>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Shared<T> {
        Shared(NonNull::from(Box::leak(Box::new(UnsafeCell::new(value)))))
    }
}

impl<T> Shared<[MaybeUninit<T>]> {
    /// An array of `len` values of which the first `zeroed` bytes are zero. The others are for who writes them first.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(crate) fn partly_zeroed(zeroed: usize, len: usize) -> Result<Self, NoMemory> {
        assert!(zeroed <= len * size_of::<T>(), "no more than there is");
        let mut values: Vec<MaybeUninit<T>> = fallible::with_capacity(len)?;
        // SAFETY: there is room for so many, which need not be initialised, and so for the bytes.
        unsafe {
            values.set_len(len);
            values.as_mut_ptr().cast::<u8>().write_bytes(0, zeroed);
        }
        let values: *mut [MaybeUninit<T>] = Box::into_raw(values.into_boxed_slice());
        // A cell has the layout of its contents.
        let cells = values as *mut UnsafeCell<[MaybeUninit<T>]>;
        // SAFETY: a box is not null.
        Ok(Shared(unsafe { NonNull::new_unchecked(cells) }))
    }
}

impl<T: ?Sized> Shared<T> {
    /// The only way to access the value. Only code that may use the store may read or write it.
    pub(crate) fn get(&self) -> *mut T {
        UnsafeCell::raw_get(self.0.as_ptr())
    }
}

impl<T: ?Sized> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and the code that drops the owner promises that no compiled code will use it any
        // more.
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
// SAFETY: a shared reference gives access to an address only.
unsafe impl<T: ?Sized> Sync for Shared<T> {}

#[cfg(test)]
mod tests {
    use super::Shared;
    use std::mem::MaybeUninit;
    use std::rc::Rc;

    /// As in a store: used by pointer while its owner is borrowed, and moved.
    #[test]
    fn pointers_stay_good_while_the_owner_is_borrowed_and_moved() {
        struct Owner {
            shared: Shared<[MaybeUninit<u64>]>,
            other: u64,
        }
        let mut owner = Owner { shared: Shared::partly_zeroed(24, 4).unwrap(), other: 0 };
        let compiled: *mut u64 = owner.shared.get().cast();
        let borrowed = &mut owner;
        // SAFETY: it points into the array, which `borrowed` does not reach into.
        unsafe { compiled.add(3).write(7) };
        borrowed.other += 1;
        let moved = Box::new(owner);
        // SAFETY: as above.
        unsafe { compiled.write(5) };
        assert_eq!(moved.shared.get().len(), 4);
        let values: *const [u64; 4] = moved.shared.get().cast();
        // SAFETY: nothing else uses it, and all of it has been written.
        assert_eq!(unsafe { *values }, [5, 0, 0, 7]);
        assert_eq!(moved.other, 1);
    }

    #[test]
    fn what_is_shared_goes_with_its_owner() {
        let value = Rc::new(());
        let one = Shared::new(Rc::clone(&value));
        let many = Shared::new([(); 3].map(|()| Rc::clone(&value)));
        assert_eq!(Rc::strong_count(&value), 5);
        drop((one, many));
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
