//! [`ForkMutex`]: a mutex that nobody holds while the process forks.

use super::generation;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex for what must be whole in a child of `fork`: forks wait until it is free, and who wants it
/// waits for forks. Held for a few steps only; a thread that holds one takes no other and does not fork.
///
/// In a child made by the bare system call, which nothing waits for, it may be held for ever.
#[derive(Debug, Default)]
pub struct ForkMutex<T>(Mutex<T>);

/// The mutex is held, until this is dropped.
#[derive(Debug)]
pub struct ForkMutexGuard<'a, T> {
    // Before the gate: children find the mutex free.
    value: MutexGuard<'a, T>,
    _passage: Passage,
}

impl<T> ForkMutex<T> {
    /// Waits for the mutex and takes it. A panic of an earlier holder is no matter: they say themselves
    /// why the value is whole.
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

/// The gate: from the top, the generation of the process that the rest is about, how many threads
/// are forking (12 bits), and how many hold a mutex or wait for one (20 bits).
static GATE: AtomicU64 = AtomicU64::new(0);

const HOLDER: u64 = 1;
const FORKING: u64 = 1 << 20;
const HOLDERS: u64 = FORKING - 1;
const GENERATION: u64 = !(u32::MAX as u64);

/// Changes the gate; waits while `pass` finds that it may not.
fn change(pass: impl Fn(u64) -> Option<u64>) {
    let ours = u64::from(generation()) << 32;
    // In a child, what the gate says of the parent means nothing.
    let step = |gate: u64| pass(if gate & GENERATION == ours { gate } else { ours });
    // Acquire: pairs with the Release of those who leave.
    while GATE.fetch_update(Ordering::Acquire, Ordering::Relaxed, step).is_err() {
        std::thread::yield_now();
    }
}

/// No thread of the process forks while this is there.
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

/// Called before a fork: lets no holder begin, and waits for those who are there.
pub(super) fn close() {
    change(|gate| Some(gate + FORKING));
    while GATE.load(Ordering::Acquire) & HOLDERS != 0 {
        std::thread::yield_now();
    }
}

/// Called in the parent after a fork. The child has a generation of its own, and an open gate.
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
