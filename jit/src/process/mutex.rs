//! [`ForkMutex`]: a mutex that no thread holds while the process forks.

use super::generation;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex for values that must be consistent in a child of `fork`. A fork waits until the mutex is free, and threads
/// that want the mutex wait for the fork. It is held only for a few steps; a thread that holds one takes no other and
/// does not fork.
///
/// The bare system call does not wait for it. In a child made that way it may be held for ever.
#[derive(Debug, Default)]
pub struct ForkMutex<T>(Mutex<T>);

/// The mutex is held, until this is dropped.
#[derive(Debug)]
pub struct ForkMutexGuard<'a, T> {
    // Dropped before the gate is left, so that children find the mutex free.
    value: MutexGuard<'a, T>,
    _passage: Passage,
}

impl<T> ForkMutex<T> {
    /// Waits for the mutex and takes it. A panic of an earlier holder is ignored: each use states why the value is
    /// consistent.
    pub fn lock(&self) -> ForkMutexGuard<'_, T> {
        let _passage = Passage::begin();
        ForkMutexGuard { value: self.0.lock().unwrap_or_else(PoisonError::into_inner), _passage }
    }
}

impl<T> Deref for ForkMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for ForkMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// The gate. From the top: the generation of the process that the rest describes, how many threads are forking (12
/// bits), and how many hold a mutex or wait for one (20 bits).
static GATE: AtomicU64 = AtomicU64::new(0);

const HOLDER: u64 = 1;
const FORKING: u64 = 1 << 20;
const HOLDERS: u64 = FORKING - 1;
const GENERATION: u64 = !(u32::MAX as u64);

/// Changes the gate; waits while `pass` returns `None`.
fn change(pass: impl Fn(u64) -> Option<u64>) {
    let ours = u64::from(generation()) << 32;
    // In a child, the parent's gate means nothing.
    let step = |gate: u64| pass(if gate & GENERATION == ours { gate } else { ours });
    // Acquire: pairs with the Release of the threads that leave.
    while GATE.fetch_update(Ordering::Acquire, Ordering::Relaxed, step).is_err() {
        std::thread::yield_now();
    }
}

/// No thread of the process forks while this exists.
#[derive(Debug)]
struct Passage;

impl Passage {
    fn begin() -> Passage {
        change(|gate| ((gate & !GENERATION) < FORKING).then_some(gate + HOLDER));
        Passage
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        GATE.fetch_sub(HOLDER, Ordering::Release);
    }
}

/// Called before a fork: stops new holders, and waits for the present ones.
pub(super) fn close() {
    change(|gate| Some(gate + FORKING));
    while GATE.load(Ordering::Acquire) & HOLDERS != 0 {
        std::thread::yield_now();
    }
}

/// Called in the parent after a fork. The child has another generation, for which the gate is open.
pub(super) fn open() {
    GATE.fetch_sub(FORKING, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn forks_wait_for_holders_and_holders_for_forks() {
        let mutex = ForkMutex::<Vec<u8>>::default();
        let closed = AtomicBool::new(false);
        let mut held = mutex.lock();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                close();
                closed.store(true, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(50));
                closed.store(false, Ordering::SeqCst);
                open();
            });
            while GATE.load(Ordering::SeqCst) & !GENERATION < FORKING {
                std::thread::yield_now();
            }
            scope.spawn(|| {
                let mut held = mutex.lock();
                assert!(!closed.load(Ordering::SeqCst));
                held.push(2);
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!closed.load(Ordering::SeqCst));
            held.push(1);
            drop(held);
        });
        assert_eq!(*mutex.lock(), [1, 2]);
    }
}
