//! [`OnceValue`]: a value that is made when it is first needed, without a lock.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that is made when it is first needed. Threads that need it at the same time each make one, of which one
/// stays. So nobody waits, and a child of `fork` never waits for a thread of its parent that was making one.
pub struct OnceValue<T> {
    /// Null, or from a box; set only once.
    value: AtomicPtr<T>,
    /// As `OnceLock`, it is shared only if the value may be made by one thread and dropped by another.
    _owned: PhantomData<(Box<T>, Mutex<T>)>,
}

impl<T> OnceValue<T> {
    /// Without a value.
    pub const fn new() -> OnceValue<T> {
        OnceValue { value: AtomicPtr::new(ptr::null_mut()), _owned: PhantomData }
    }

    /// The value, if it has been made.
    pub fn get(&self) -> Option<&T> {
        // Acquire: pairs with the AcqRel in `get_or_make`.
        // SAFETY: null, or from a box that is freed only when this is dropped.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// The value; `make` makes it, unless that has been done.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let new = Box::into_raw(Box::new(make()));
        let kept = match self.value.compare_exchange(
            ptr::null_mut(),
            new,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => new,
            Err(first) => {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                first
            }
        };
        // SAFETY: as in `get`.
        unsafe { &*kept }
    }
}

impl<T> From<T> for OnceValue<T> {
    fn from(value: T) -> OnceValue<T> {
        OnceValue { value: AtomicPtr::new(Box::into_raw(Box::new(value))), _owned: PhantomData }
    }
}

impl<T> Default for OnceValue<T> {
    fn default() -> OnceValue<T> {
        OnceValue::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceValue").field(&self.get()).finish()
    }
}

impl<T> Drop for OnceValue<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: from a box, and nothing uses it any more.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

// SAFETY: it owns the value, and any thread may drop it.
unsafe impl<T: Send> Send for OnceValue<T> {}
// SAFETY: as above; threads share the value, which any of them may have made.
unsafe impl<T: Send + Sync> Sync for OnceValue<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn one_value_stays_and_nobody_waits_for_who_makes_another() {
        let counted = Arc::new(());
        let once = OnceValue::new();
        let value = once.get_or_make(|| {
            // Another thread comes meanwhile, and does not wait.
            std::thread::scope(|scope| {
                scope.spawn(|| once.get_or_make(|| (1, Arc::clone(&counted))));
            });
            (2, Arc::clone(&counted))
        });
        assert_eq!(value.0, 1, "who was first");
        assert!(ptr::eq(value, once.get_or_make(|| unreachable!())));
        assert_eq!(Arc::strong_count(&counted), 2, "the other was dropped");
        drop(once);
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
