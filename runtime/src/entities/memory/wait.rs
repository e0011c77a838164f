//! Waiting on shared memories, and notifying waiters.
//!
//! Each host address that a thread waits on has a [queue](super::queue), whatever the width of the value that was
//! compared. A thread leaves its queue when it is notified, when its time is up, or when its store is interrupted. It
//! is always told which; there are no spurious wake-ups. Threads are in a queue only while they wait, so a queue ends
//! with its last waiter. The memory cannot be freed meanwhile, because waiters keep it alive.
//!
//! # Guest memory under the lock of a queue
//!
//! The value is compared under the lock of its queue: otherwise a notification between the comparison and the sleep
//! would be lost. The page has been touched before, but another thread may have discarded it since, so the comparison
//! may fault. That is safe. The handler, and everything that it may wait for in `seqfault-mm` (the region's writers,
//! which are inside system calls or about to leave), never take the lock of a queue and never touch guest memory. (A
//! rewind does, but of a region that nobody uses.) So no thread that this thread waits for waits for it. A denied fault
//! comes back as an error, not as a trap: the value is loaded by a routine that the handler can make return.

use super::MemoryData;
use super::queue::{self, Ended, Message};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::trap::{MemoryFault, TrapCode, TrapReason};
use crate::vm::{trap_of, trap_of_kind};
use seqfault_mm::{Fault, FaultKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How a wait ended. The numbers are those that guests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WaitResult {
    /// The waiter was notified.
    Ok = 0,
    /// The value was not the expected one.
    Mismatch = 1,
    /// The time was up.
    TimedOut = 2,
}

/// How a wait ended, for the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done(WaitResult),
    /// The store is to be interrupted. If it is not interrupted after all, it has to wait again.
    Interrupted,
}

/// The value that a wait expects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    U32(u32),
    U64(u64),
}

impl Expected {
    fn size(self) -> usize {
        match self {
            Expected::U32(_) => 4,
            Expected::U64(_) => 8,
        }
    }
}

/// The store whose guest waits.
pub(crate) struct WaitingStore<'a> {
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) epoch: &'a AtomicU64,
}

impl WaitingStore<'_> {
    fn is_due(&self) -> bool {
        // SeqCst: see `interrupt`.
        self.interrupt.is_due(self.epoch.load(Ordering::SeqCst))
    }
}

/// A thread of the host, which nothing interrupts.
const HOST: usize = 0;

impl MemoryData {
    /// The offset of an access of `size` bytes for a wait or a notification, in a memory of this process.
    fn atomic_place(
        &self,
        memory: Option<u32>,
        index: u64,
        offset: u64,
        size: usize,
    ) -> Result<usize> {
        if !index.wrapping_add(offset).is_multiple_of(size as u64) {
            return Err(TrapReason(TrapCode::UnalignedAtomic).into());
        }
        let start = index.checked_add(offset);
        let range = start.and_then(|start| self.range(start, size as u64));
        let outside = || MemoryFault::at(memory, start, self.len());
        let at = range.map(|range| range.start).ok_or_else(outside)?;
        // Its waiters are threads of the process that made it.
        match self.region().is_inherited() {
            true => Err(trap_of_kind(FaultKind::Inherited).into()),
            false => Ok(at),
        }
    }

    /// Waits at `index + offset` until notified, or until `deadline`, if the value is `expected`. `memory` is the
    /// guest's index of this memory.
    pub(crate) fn wait(
        &self,
        memory: Option<u32>,
        index: u64,
        offset: u64,
        expected: Expected,
        deadline: Option<Instant>,
        store: Option<WaitingStore<'_>>,
    ) -> Result<Waited> {
        let at = self.atomic_place(memory, index, offset, expected.size())?;
        if !self.ty().shared {
            return Err(TrapReason(TrapCode::WaitOnUnsharedMemory).into());
        }
        // Touches the page, so that it is nearly always present when the lock is held.
        if !self.holds(at, expected).map_err(trap_of)? {
            return Ok(Waited::Done(WaitResult::Mismatch));
        }
        let address = self.base().addr() + at;
        if let Some(store) = &store {
            store.interrupt.begin_wait(address);
        }
        let ended = self.queue_up(address, at, expected, deadline, store.as_ref());
        if let Some(store) = &store {
            store.interrupt.end_wait();
        }
        ended
    }

    fn queue_up(
        &self,
        address: usize,
        at: usize,
        expected: Expected,
        deadline: Option<Instant>,
        store: Option<&WaitingStore<'_>>,
    ) -> Result<Waited> {
        let mut found = Ok(true);
        let mut due = false;
        let begin = || {
            due = store.is_some_and(WaitingStore::is_due);
            found = self.holds(at, expected);
            !due && matches!(found, Ok(true))
        };
        let token = store.map_or(HOST, |store| store.interrupt.token());
        Ok(match queue::wait(address, token, deadline, begin) {
            Ended::Told(Message::Interrupted) => Waited::Interrupted,
            Ended::Told(Message::Notified) => Waited::Done(WaitResult::Ok),
            Ended::TimedOut => Waited::Done(WaitResult::TimedOut),
            Ended::Refused => match found.map_err(trap_of)? {
                true => {
                    debug_assert!(due);
                    Waited::Interrupted
                }
                false => Waited::Done(WaitResult::Mismatch),
            },
        })
    }

    fn holds(&self, at: usize, expected: Expected) -> Result<bool, Fault> {
        match expected {
            Expected::U32(expected) => self.region().load_u32(at).map(|found| found == expected),
            Expected::U64(expected) => self.region().load_u64(at).map(|found| found == expected),
        }
    }

    /// Wakes at most `count` waiters at `index + offset`. Returns how many were woken.
    pub(crate) fn notify(
        &self,
        memory: Option<u32>,
        index: u64,
        offset: u64,
        count: u32,
    ) -> Result<u32> {
        // Waiters of either width: the smaller alignment is required.
        let at = self.atomic_place(memory, index, offset, 4)?;
        if !self.ty().shared {
            return Ok(0);
        }
        Ok(queue::wake(self.base().addr() + at, count, Message::Notified, |_| true))
    }
}

/// Makes the waiter with this token check whether it is due, if it is in the queue of `address`.
pub(crate) fn interrupt_waiter(address: usize, token: usize) {
    queue::wake(address, 1, Message::Interrupted, |found| found == token);
}
