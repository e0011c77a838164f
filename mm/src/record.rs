//! Records: a space and its pager, made once, used by one region after another.
//!
//! A record keeps its pager as long as anybody may have found it. So a fault that holds a stale record can be wrong only
//! about things that the space's counts cover. It also keeps its process: see `process`.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::pager::{Pager, PagerKind};
use crate::process::{self, Process};
use crate::space::{Counters, Shelf, Space};

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
    /// The process that made it.
    pub(crate) process: &'static Process,
}

impl Record {
    /// Whether it belongs to an ancestor of this process. Nothing in it may be used then.
    pub(crate) fn is_inherited(&self) -> bool {
        process::is_another(self.process)
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
    let new = |_| Record { space: Space::new(), pager: kind.pager(), kind, process };
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
