//! Records: a space and its pager, made once, used by one region after another, never freed.
//!
//! A record stays with one pager for ever: a fault that holds a stale record can then be wrong about everything that the
//! space's counts cover, and about nothing else.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pager::{Pager, PagerKind};
use crate::space::{Counters, Pool, Space};

/// Storage of all spaces of this process.
pub(crate) static POOL: Pool = Pool::new();

static RECORDS: Mutex<Records> = Mutex::new(Records { all: Vec::new(), free: Vec::new() });

struct Records {
    all: Vec<&'static Record>,
    free: Vec<&'static Record>,
}

/// What the registry points to.
pub(crate) struct Record {
    /// The core.
    pub(crate) space: Space,
    /// How its pages come.
    pub(crate) pager: &'static dyn Pager,
    /// The same, by name.
    pub(crate) kind: PagerKind,
}

fn records() -> MutexGuard<'static, Records> {
    // Nothing in here panics half-way through a change.
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An unused record for a resolved pager kind.
pub(crate) fn take(kind: PagerKind) -> &'static Record {
    let mut records = records();
    if let Some(at) = records.free.iter().rposition(|record| record.kind == kind) {
        return records.free.swap_remove(at);
    }
    let record: &'static Record =
        Box::leak(Box::new(Record { space: Space::new(), pager: kind.pager(), kind }));
    records.all.push(record);
    record
}

/// Takes back a record whose space was destroyed.
pub(crate) fn give(record: &'static Record) {
    records().free.push(record);
}

/// What all regions of this process ever counted.
pub(crate) fn counters() -> Counters {
    records().all.iter().fold(Counters::default(), |sum, record| sum.plus(&record.space.counters()))
}
