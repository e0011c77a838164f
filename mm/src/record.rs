//! Records: a space and its pager, made once, used by one region after another.
//!
//! A record keeps its pager as long as anybody may have found it. So a fault that holds a stale record can be wrong only
//! about things that the space's counts cover. It also keeps its process: see `process`.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Access;
use crate::budget::Link;
use crate::error::Result;
use crate::pager::{Pager, PagerKind};
use crate::process::{self, Process};
use crate::space::{Counters, Outcome, Reading, Shelf, Space};

/// All records of a process.
pub(crate) struct Records {
    /// By kind.
    shelves: [Shelf<Record>; PagerKind::COUNT],
    /// What those have counted that are no longer there. Locked while records come and go, so that none is counted
    /// twice or not at all.
    past: Mutex<Counters>,
}

/// What the registry points to.
pub(crate) struct Record {
    /// The core.
    pub(crate) space: Space,
    /// How its pages are made present.
    pub(crate) pager: &'static dyn Pager,
    /// The kind of that pager.
    pub(crate) kind: PagerKind,
    /// The other records of its budget.
    pub(crate) link: Link,
    /// The process that made it.
    pub(crate) process: &'static Process,
}

/// How often a fault is tried for which there seems to be room in the budget.
const TRIES: usize = 16;

impl Record {
    /// Whether it belongs to an ancestor of this process. Nothing in it may be used then.
    pub(crate) fn is_inherited(&self) -> bool {
        process::is_another(self.process)
    }

    /// Resolves a fault, such as a first touch, at host address `addr`. Async-signal-safe.
    pub(crate) fn handle_fault(
        &self,
        addr: usize,
        access: Access,
        reading: &Reading<'_>,
    ) -> Outcome {
        // Other threads may take the room that was made.
        for _ in 0..TRIES {
            match self.space.handle_fault(addr, access, self.pager, reading) {
                Outcome::NoRoom if self.make_room(1) => {}
                Outcome::NoRoom => break,
                decided => {
                    self.look();
                    return decided;
                }
            }
        }
        self.space.deny()
    }

    /// Looks at the limit of the budget again, if it is time.
    fn look(&self) {
        if let Some(budget) = self.link.state().filter(|budget| budget.core.is_due()) {
            budget.look();
        }
    }

    /// Tries to make room for so many pages in the budget, if there is one; whether there is room now.
    pub(crate) fn make_room(&self, pages: usize) -> bool {
        self.link.state().is_some_and(|budget| budget.make_room(pages))
    }
}

impl Records {
    /// An empty list.
    pub(crate) fn new() -> Self {
        let shelves = [const { Shelf::new(0) }; PagerKind::COUNT];
        Self { shelves, past: Mutex::default() }
    }

    fn past(&self) -> MutexGuard<'_, Counters> {
        // Nothing in here panics half-way through a change, so poisoned counters are consistent.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An unused record of `process` for a resolved pager kind. It is there until it is given back.
pub(crate) fn take(process: &'static Process, kind: PagerKind) -> Result<&'static Record> {
    let new =
        |_| Record { space: Space::new(), pager: kind.pager(), kind, link: Link::none(), process };
    let record = process.records.shelves[kind as usize].take(process.pool.arena(), new)?;
    // SAFETY: it stays as it is until the caller gives it back and all readers have left.
    Ok(unsafe { record.as_ref() })
}

/// Takes back a record whose space was destroyed, and which is not in the registry any more.
pub(crate) fn give(record: &'static Record) {
    let Record { kind, process, .. } = *record;
    let mut past = process.records.past();
    process.records.shelves[kind as usize].give(
        [NonNull::from(record)],
        process.pool.readers(),
        |gone| *past = past.plus(&gone.space.counters()),
    );
}

/// The sum of the counters of all regions that this process ever had.
pub(crate) fn counters() -> Counters {
    let Some(process) = process::get() else { return Counters::default() };
    let past = process.records.past();
    let mut sum = *past;
    for shelf in &process.records.shelves {
        shelf.each(|record| sum = sum.plus(&record.space.counters()));
    }
    sum
}
