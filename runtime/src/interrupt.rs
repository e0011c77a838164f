//! Interrupting a store from another thread, even while its guest is blocked in a wait.
//!
//! Other threads may access only a store's [`Interrupt`], which is outside of the store. There are
//! two reasons to interrupt: the engine's epoch has reached the store's deadline, or an
//! [`InterruptHandle`] was used. Running code notices both, because compiled code checks the
//! deadline. A guest that is blocked in `memory.atomic.wait32` or `wait64` runs no code; it is
//! taken out of its queue and then checks for itself.
//!
//! # No wake-up is lost
//!
//! The waiter (1) publishes which address it waits on; then, (2) under the lock of that queue, it
//! checks whether it is due, and queues up if not. The interrupting thread (3) makes it due, (4) reads
//! the address, and (5) takes it out of that queue, under the same lock. Steps 1 to 4 are `SeqCst`.
//! If 4 does not see 1, then 2 sees 3. If 4 does see 1, then 5 either finds the waiter there, or
//! comes before 2, which then sees 3. A thread that holds the lock of a queue takes no lock of this
//! file, and nothing polls.

use crate::entities::interrupt_waiter;
use seqfault_jit::process::{ForkMutex, ForkMutexGuard};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The part of a store that other threads may access.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// The epoch at which the guest is interrupted; compiled code reads it.
    deadline: AtomicU64,
    /// Whether a handle has asked for it. Once set, it stays set.
    requested: AtomicBool,
    /// The host address that the guest waits on, or 0.
    waiting_on: AtomicUsize,
}

impl Interrupt {
    pub(crate) fn new() -> Arc<Interrupt> {
        Arc::new(Interrupt {
            deadline: AtomicU64::new(u64::MAX),
            requested: AtomicBool::new(false),
            waiting_on: AtomicUsize::new(0),
        })
    }

    /// For compiled code.
    pub(crate) fn deadline_ptr(&self) -> *const AtomicU64 {
        &self.deadline
    }

    /// Called by the store's thread.
    pub(crate) fn set_deadline(&self, epoch: u64) {
        // SeqCst, as in `request`: of two threads that each store one of the two and then read the
        // other, at least one sees the other's store. So a request is never overwritten for ever.
        self.deadline.store(epoch, Ordering::SeqCst);
        if self.is_requested() {
            self.deadline.store(0, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.deadline.store(0, Ordering::SeqCst);
        self.wake();
    }

    /// Whether the guest is to be interrupted when the engine's epoch is `now`.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.deadline.load(Ordering::SeqCst) <= now || self.is_requested()
    }

    /// The guest is about to wait on `address`: step 1.
    pub(crate) fn begin_wait(&self, address: usize) {
        self.waiting_on.store(address, Ordering::SeqCst);
    }

    /// The guest waits no longer.
    pub(crate) fn end_wait(&self) {
        // Relaxed: a thread that still sees the address looks for the guest in vain.
        self.waiting_on.store(0, Ordering::Relaxed);
    }

    /// Identifies this store's thread in a queue.
    pub(crate) fn token(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Makes a waiting guest check whether it is due: steps 4 and 5.
    fn wake(&self) {
        match self.waiting_on.load(Ordering::SeqCst) {
            0 => {}
            address => interrupt_waiter(address, self.token()),
        }
    }
}

/// Interrupts one store, from any thread.
///
/// Made by [`Store::interrupt_handle`](crate::Store::interrupt_handle).
#[derive(Clone)]
pub struct InterruptHandle(Arc<Interrupt>);

impl fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InterruptHandle").field(&self.is_interrupted()).finish()
    }
}

impl InterruptHandle {
    pub(crate) fn new(interrupt: &Arc<Interrupt>) -> InterruptHandle {
        InterruptHandle(Arc::clone(interrupt))
    }

    /// Makes the store's guest trap with [`TrapCode::Interrupt`](crate::TrapCode::Interrupt), now
    /// and whenever it is entered again. The store's behaviour at its epoch deadline does not
    /// matter.
    ///
    /// A guest that is blocked in a wait traps at once. A guest that computes traps at the next
    /// function entry or loop iteration, if the engine compiles code [with epoch
    /// checks](crate::Config::epoch_interruption). Instantiations, operations on large memories, tables and arrays, and
    /// collections check every few milliseconds, except while a collection moves objects
    /// ([`Config::gc_heap_limit`](crate::Config::gc_heap_limit) says how long that may take). A guest that is inside of a host function
    /// traps when it returns.
    pub fn interrupt(&self) {
        self.0.request();
    }

    /// Whether the store was interrupted through a handle.
    pub fn is_interrupted(&self) -> bool {
        self.0.is_requested()
    }
}

/// The stores of an engine whose guests have ever waited.
#[derive(Debug, Default)]
pub(crate) struct Waiters(ForkMutex<HashMap<usize, Arc<Interrupt>>>);

impl Waiters {
    fn stores(&self) -> ForkMutexGuard<'_, HashMap<usize, Arc<Interrupt>>> {
        // Nothing panics while the list is half changed.
        self.0.lock()
    }

    pub(crate) fn add(&self, interrupt: &Arc<Interrupt>) {
        self.stores().insert(interrupt.token(), Arc::clone(interrupt));
    }

    pub(crate) fn remove(&self, interrupt: &Interrupt) {
        self.stores().remove(&interrupt.token());
    }

    /// Wakes the stores that are due at epoch `now`.
    pub(crate) fn wake_due(&self, now: u64) {
        self.stores().values().filter(|store| store.is_due(now)).for_each(|store| store.wake());
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.stores().len()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Instance, MemoryType, Module, Result, SharedMemory, Store};

    #[test]
    fn a_store_is_woken_by_the_engine_from_its_first_wait_to_its_end() -> Result<()> {
        let engine = Engine::default();
        let module = Module::new(
            &engine,
            r#"(module (import "" "" (memory 1 1 shared))
                (func (export "wait") (result i32)
                  (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0))))"#,
        )?;
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 1))?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[memory.into()])?;
        let wait = instance.get_typed_func::<(), i32>(&mut store, "wait")?;
        assert_eq!(engine.waiters().len(), 0);
        for _ in 0..2 {
            assert_eq!(wait.call(&mut store, ())?, 2);
            assert_eq!(engine.waiters().len(), 1);
        }
        drop(store);
        assert_eq!(engine.waiters().len(), 0);
        Ok(())
    }
}
