//! Records: a space and its pager, made once, used by one region after another, never freed.
//!
//! A record keeps its pager for ever. So a fault that holds a stale record can be wrong only about things that the
//! space's counts cover. It also keeps its process: see `process`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pager::{Pager, PagerKind};
use crate::process::{self, Process};
use crate::space::{Counters, Space};

/// All records of a process.
pub(crate) struct Records {
    lists: Mutex<Lists>,
}

struct Lists {
    all: Vec<&'static Record>,
    free: Vec<&'static Record>,
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
    pub(crate) const fn new() -> Self {
        Self { lists: Mutex::new(Lists { all: Vec::new(), free: Vec::new() }) }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        // Nothing in here panics half-way through a change, so a poisoned list is consistent.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An unused record of `process` for a resolved pager kind.
pub(crate) fn take(process: &'static Process, kind: PagerKind) -> &'static Record {
    let mut lists = process.records.lists();
    if let Some(at) = lists.free.iter().rposition(|record| record.kind == kind) {
        return lists.free.swap_remove(at);
    }
    let record: &'static Record =
        Box::leak(Box::new(Record { space: Space::new(), pager: kind.pager(), kind, process }));
    lists.all.push(record);
    record
}

/// Takes back a record whose space was destroyed.
pub(crate) fn give(record: &'static Record) {
    record.process.records.lists().free.push(record);
}

/// The sum of the counters of all regions that this process ever had.
pub(crate) fn counters() -> Counters {
    let Some(process) = process::get() else { return Counters::default() };
    let sum = |sum: Counters, record: &&Record| sum.plus(&record.space.counters());
    process.records.lists().all.iter().fold(Counters::default(), sum)
}
