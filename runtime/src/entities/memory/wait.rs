//! Waiting on shared memories and notifying who waits.
//!
//! Each host address that somebody waits on is a queue of `parking_lot_core`, whatever the width of
//! the value that was compared. A thread leaves its queue when it is notified, when its time is up,
//! or when its store is interrupted, and it is always told which: nobody wakes for no reason. Threads
//! are in a queue only while they wait, so no queue outlives its last one; the memory cannot go
//! meanwhile, since who waits holds on to it.
//!
//! # Guest memory under the lock of a queue
//!
//! The value is compared under the lock of its queue: otherwise a notification between the comparison
//! and the sleep would be lost. The page is touched before, but another thread may discard it in
//! between, so that the comparison may fault. That is safe: the handler, and all that it may wait for
//! in `seqfault-mm` (the region's writers, which are inside system calls or are about to leave), never
//! take a lock of `parking_lot_core` and never touch guest memory, so whoever this thread waits for
//! does not wait for it. A fault that is denied comes back as an error, not as a trap: the value is
//! loaded by a routine that the handler knows how to leave.

use super::MemoryData;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::trap::{MemoryFault, TrapCode, TrapReason};
use crate::vm::trap_of;
use parking_lot_core::{FilterOp, ParkResult, ParkToken, UnparkToken};
use seqfault_mm::Fault;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How a wait ended. The numbers are those that guests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WaitResult {
    /// Somebody has notified the waiter.
    Ok = 0,
    /// There was another value than expected.
    Mismatch = 1,
    /// The time was up.
    TimedOut = 2,
}

/// How a wait ended, for the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done(WaitResult),
    /// The store is to be interrupted. If it then is not, it has to wait again.
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

const NOTIFIED: UnparkToken = UnparkToken(0);
/// Told to a waiter that may have to stop.
pub(crate) const INTERRUPTED: UnparkToken = UnparkToken(1);
/// A thread of the host, which nobody interrupts.
const HOST: ParkToken = ParkToken(0);

impl MemoryData {
    /// Where an atomic access of `size` bytes goes.
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
        let outside = || MemoryFault::at(memory, start, self.len()).into();
        range.map(|range| range.start).ok_or_else(outside)
    }

    /// Waits at `index + offset` until notified, or until `deadline`, if `expected` is there. `memory` is
    /// the index that the guest knows this one by.
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
        // Touches the page, so that it is there when the lock is held, or else nearly always.
        if !self.holds(at, expected).map_err(trap_of)? {
            return Ok(Waited::Done(WaitResult::Mismatch));
        }
        let address = self.base().addr() + at;
        if let Some(store) = &store {
            store.interrupt.begin_wait(address);
        }
        let ended = self.park(address, at, expected, deadline, store.as_ref());
        if let Some(store) = &store {
            store.interrupt.end_wait();
        }
        ended
    }

    fn park(
        &self,
        address: usize,
        at: usize,
        expected: Expected,
        deadline: Option<Instant>,
        store: Option<&WaitingStore<'_>>,
    ) -> Result<Waited> {
        let mut found = Ok(true);
        let mut due = false;
        let validate = || {
            due = store.is_some_and(WaitingStore::is_due);
            found = self.holds(at, expected);
            !due && matches!(found, Ok(true))
        };
        let token = store.map_or(HOST, |store| ParkToken(store.interrupt.token()));
        // SAFETY: the address is that of a byte of guest memory, which is no lock of anybody else;
        // what runs under the lock does not panic (the place is inside and aligned) and calls nothing
        // of `parking_lot`, also where it faults.
        let ended =
            unsafe { parking_lot_core::park(address, validate, || {}, |_, _| {}, token, deadline) };
        Ok(match ended {
            ParkResult::Unparked(INTERRUPTED) => Waited::Interrupted,
            ParkResult::Unparked(_) => Waited::Done(WaitResult::Ok),
            ParkResult::TimedOut => Waited::Done(WaitResult::TimedOut),
            ParkResult::Invalid => match found.map_err(trap_of)? {
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

    /// Wakes at most `count` of those that wait at `index + offset`; how many it were.
    pub(crate) fn notify(
        &self,
        memory: Option<u32>,
        index: u64,
        offset: u64,
        count: u32,
    ) -> Result<u32> {
        // Of either width: the smaller one's alignment is what counts.
        let at = self.atomic_place(memory, index, offset, 4)?;
        if !self.ty().shared {
            return Ok(0);
        }
        Ok(wake(self.base().addr() + at, count, NOTIFIED, |_| true))
    }
}

/// Takes one waiter, the one with this token, out of the queue of `address`, if it is there.
pub(crate) fn wake_waiter(address: usize, token: usize, message: UnparkToken) {
    wake(address, 1, message, |found| found == ParkToken(token));
}

/// Wakes the first `count` of those in the queue of `address` that `wanted` picks.
fn wake(
    address: usize,
    count: u32,
    message: UnparkToken,
    wanted: impl Fn(ParkToken) -> bool,
) -> u32 {
    let mut left = count;
    let mut pick = |token| match left {
        0 => FilterOp::Stop,
        _ if wanted(token) => {
            left -= 1;
            FilterOp::Unpark
        }
        _ => FilterOp::Skip,
    };
    // SAFETY: as in `park`; the closures neither panic nor call anything of `parking_lot`.
    let woken = unsafe { parking_lot_core::unpark_filter(address, &mut pick, |_| message) };
    woken.unparked_threads as u32
}
