//! [`Lock`]: a mutex that survives `fork`.

use super::generation;
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

/// A mutex. If a thread of the parent held it during a fork, it is free in the child, where that
/// thread does not exist. The thread's change may be half done, so the child's value starts anew.
#[derive(Debug, Default)]
pub struct Lock<T> {
    /// Zero when free. Otherwise twice the generation of the holder's process, plus one if a thread
    /// is waiting.
    word: AtomicU32,
    value: UnsafeCell<ManuallyDrop<T>>,
}

/// The lock is held, until this is dropped.
#[derive(Debug)]
pub struct LockGuard<'a, T>(&'a Lock<T>);

const WAITED_FOR: u32 = 1;

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Lock<T> {
        Lock { word: AtomicU32::new(0), value: UnsafeCell::new(ManuallyDrop::new(value)) }
    }
}

impl<T: Default> Lock<T> {
    /// Waits for the lock and takes it.
    pub fn lock(&self) -> LockGuard<'_, T> {
        let ours = generation() << 1;
        // Acquire: pairs with the Release in `drop`.
        match self.word.compare_exchange(0, ours, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {}
            Err(word) => self.lock_slowly(word, ours),
        }
        LockGuard(self)
    }

    /// Takes the lock, unless another thread of this process holds it.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        let ours = generation() << 1;
        // Acquire: as in `lock`.
        match self.word.compare_exchange(0, ours, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(LockGuard(self)),
            Err(word) if word & !WAITED_FOR == ours => None,
            Err(_) => Some(self.lock()),
        }
    }

    #[cold]
    fn lock_slowly(&self, mut word: u32, ours: u32) {
        loop {
            if word == 0 {
                // Other threads may still be waiting: assume so.
                let waited = ours | WAITED_FOR;
                match self.word.compare_exchange(0, waited, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return,
                    Err(now) => word = now,
                }
            } else if word & !WAITED_FOR != ours {
                match self.word.compare_exchange(word, ours, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return self.start_anew(),
                    Err(now) => word = now,
                }
            } else {
                self.wait(word);
                word = self.word.load(Ordering::Relaxed);
            }
        }
    }

    fn wait(&self, word: u32) {
        let waited = word | WAITED_FOR;
        if word != waited {
            let marked =
                self.word.compare_exchange(word, waited, Ordering::Relaxed, Ordering::Relaxed);
            if marked.is_err() {
                return;
            }
        }
        if futex::wait(&self.word, futex::Flags::PRIVATE, waited, None).is_err_and(|error| {
            !matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)
        }) {
            // Without futexes: wait by polling.
            std::thread::yield_now();
        }
    }

    /// Replaces a value that a thread of another process may have been changing.
    fn start_anew(&self) {
        // SAFETY: this thread holds the lock. The old value is overwritten and not dropped, because
        // parts of it may already be gone.
        unsafe { self.value.get().write(ManuallyDrop::new(T::default())) };
    }
}

impl<T> Drop for Lock<T> {
    fn drop(&mut self) {
        let holder = *self.word.get_mut();
        // Held by a thread of another process, whose change may be half done.
        if holder == 0 {
            // SAFETY: not used any more.
            unsafe { ManuallyDrop::drop(self.value.get_mut()) };
        }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of the next `lock`.
        let word = self.0.word.swap(0, Ordering::Release);
        if word & WAITED_FOR != 0 {
            // Where the system has no futexes, nobody waits for one.
            let _ = futex::wake(&self.0.word, futex::Flags::PRIVATE, 1);
        }
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard.
        unsafe { &mut *self.0.value.get() }
    }
}

// SAFETY: the holder of the lock has exclusive access to the value.
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lock<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        let lock = Lock::<usize>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let mut value = lock.lock();
                        let before = *value;
                        std::hint::black_box(&mut value);
                        *value = before + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 80_000);
    }

    #[test]
    fn who_waits_sleeps_until_the_lock_is_free() {
        let lock = Lock::<Vec<u8>>::default();
        std::thread::scope(|scope| {
            let mut held = lock.lock();
            for _ in 0..3 {
                scope.spawn(|| lock.lock().push(1));
            }
            while lock.word.load(Ordering::Relaxed) & WAITED_FOR == 0 {
                std::thread::yield_now();
            }
            held.push(0);
        });
        assert_eq!(lock.lock().as_slice(), [0, 1, 1, 1]);
    }

    #[test]
    fn a_holder_in_another_process_holds_nothing() {
        let lock = Lock::<Vec<u8>>::default();
        lock.lock().push(1);
        // As a child finds it: held by a thread of its parent.
        lock.word.store((generation() + 1) << 1 | WAITED_FOR, Ordering::Relaxed);
        assert!(lock.lock().is_empty());
        lock.lock().push(2);
        assert_eq!(lock.lock().as_slice(), [2]);
    }
}
