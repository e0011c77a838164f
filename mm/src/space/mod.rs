//! The pure core: one address space of VMAs, page states and sequence counts.
//!
//! A [`Space`] knows ranges, not mappings: it asks a [`Pager`] for every change of the real address space. So in tests
//! all of it runs on a simulated system. Every atomic comes from `super::primitive` and every second look from
//! `super::checks`, so it also runs under a model checker.
//!
//! # Who may do what
//!
//! * Any thread may call [`Space::handle_fault`] at any time, also in a signal handler: `speculate` looks at the space
//!   without a lock, `classic` takes the writer lock.
//! * Writers (`adjust`, `unmap`, `grow`, `discard`, `protect`, `reset`, `life`) take the writer lock, mark the counts
//!   of what they change, wait until claimed pages in that range have settled, change the system's mappings, and only
//!   then unmark.
//!
//! Order of locks and counts: writer lock, then `bounds` counts by address, then `pages` counts by shard, then the
//! table's `structure` count. Speculative faults hold none of these, only claims. Writers wait for claims; claimers
//! never wait.

mod adjust;
mod budget;
mod classic;
mod commit;
mod counters;
mod discard;
mod geometry;
mod grow;
mod huge;
mod life;
mod list;
mod open;
mod pagemap;
mod plan;
mod policy;
mod pool;
mod protect;
mod readers;
mod recount;
mod rewind;
mod seqcount;
mod shards;
mod shelf;
mod speculate;
mod storage;
mod table;
mod types;
mod unmap;
#[cfg(test)]
mod validate;
mod vma;

use super::{checks, primitive};
use primitive::{AtomicPtr, AtomicUsize, LANES, Lock, Ordering, PlainBool, PlainPtr, PlainUsize};

use crate::pager::Pager;

pub(crate) use budget::Budget;
pub(crate) use counters::Abort;
pub use counters::Counters;
pub(crate) use geometry::Geometry;
pub(crate) use life::Blueprint;
pub(crate) use pagemap::PageMap;
pub(crate) use pool::Pool;
#[cfg(test)]
#[allow(unused_imports, reason = "only one of the two builds of this folder needs it")]
pub(crate) use readers::Readers;
pub(crate) use readers::Reading;
pub(crate) use rewind::Pristine;
pub(crate) use seqcount::{Seen, SeqCount};
pub(crate) use shelf::Shelf;
#[cfg(test)]
#[allow(unused_imports, reason = "only one of the two builds of this folder needs it")]
pub(crate) use types::Attrs;
pub(crate) use types::{Extent, GRANULE_PAGES, PAGE, PageRange};
pub(crate) use vma::Vma;

use counters::Lane;
use policy::Pattern;
pub(crate) use policy::{Huge, Opening, Policy};
use shards::Shards;
use storage::Spares;
use table::Table;

/// One address space: a reservation's VMAs, page states and counts.
///
/// Type-stable: when a space is used again, all its counts keep rising. So a stale reference (of a
/// fault that raced a teardown) is harmless, and the counts reveal it.
pub(crate) struct Space {
    /// Serialises writers and the classic path.
    lock: Lock,
    /// The VMAs, sorted; written under `lock`.
    table: Table,
    /// The `pages` counts.
    shards: Shards,
    /// First byte of the reservation, 0 while unused. Written in a write section of all shards.
    base: AtomicUsize,
    /// Pages that may ever become accessible. Written and read under `lock`.
    maximum: PlainUsize,
    /// Page states; null while unused. Written like `base`.
    pages: AtomicPtr<PageMap>,
    /// Pages below this one are inside the accessible part. Written under `lock`.
    accessible: AtomicUsize,
    /// Pages of closed VMAs that hold contents or may be touched without a fault.
    resident: PlainUsize,
    /// `resident` never exceeds this. Written under `lock`.
    limit: PlainUsize,
    /// The budget that it shares, or null. Written like `base`.
    budget: PlainPtr<Budget>,
    /// Pages of open VMAs, as far as the budget is charged for them. Written under `lock`.
    open: PlainUsize,
    /// Whether it waits for its next user. Written under `lock`.
    idle: PlainBool,
    /// How faults are answered. Written under `lock`; any value is correct at any time.
    policy: PlainUsize,
    /// How many windows were opened, and how many pages were accessible then. Written under `lock`; hints.
    openings: PlainUsize,
    opened_within: PlainUsize,
    /// Where huge pages are asked for.
    asked: huge::Asked,
    /// How often memory grew behind an open VMA. Written under `lock`; a hint.
    growths: PlainUsize,
    /// VMAs for windows that are opened in a signal handler, which cannot ask the pool.
    spares: Spares,
    /// Whether faults speculate. Any value is correct at any time.
    speculation: PlainBool,
    /// Whether the system may protect pages more strictly than their VMA says, so that every commit must set the
    /// protection again. Once set, it stays set while the space lives. Written under `lock`.
    doubtful: PlainBool,
    lanes: [PaddedLane; LANES],
}

/// What the faults of one lane write, on cache lines of its own.
#[repr(align(128))]
struct PaddedLane {
    counters: Lane,
    pattern: Pattern,
}

/// How a fault ended: whether the instruction runs again, or the fault is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The page is there now: run the instruction again.
    Resolved,
    /// Another thread is bringing the page: run the instruction again after waiting a little.
    Claimed,
    /// The page was already there: run the instruction again.
    Present,
    /// The access is not allowed, according to a validated snapshot.
    Denied(crate::FaultKind),
    /// The budget has no room for the page: it is to be denied, unless others give back what they do not need.
    NoRoom,
    /// The page belongs to no living space (a stale fault on a space that was torn down).
    NotOurs,
}

impl Space {
    /// An unused space.
    pub(crate) fn new() -> Self {
        Self {
            lock: Lock::new(),
            table: Table::new(),
            shards: Shards::new(),
            base: AtomicUsize::new(0),
            maximum: PlainUsize::new(0),
            pages: AtomicPtr::new(std::ptr::null_mut()),
            accessible: AtomicUsize::new(0),
            resident: PlainUsize::new(0),
            limit: PlainUsize::new(usize::MAX),
            budget: PlainPtr::new(std::ptr::null_mut()),
            open: PlainUsize::new(0),
            idle: PlainBool::new(false),
            policy: PlainUsize::new(Policy::COARSE.to_bits()),
            openings: PlainUsize::new(0),
            opened_within: PlainUsize::new(0),
            asked: huge::Asked::none(),
            growths: PlainUsize::new(0),
            spares: Spares::new(),
            speculation: PlainBool::new(true),
            doubtful: PlainBool::new(false),
            lanes: std::array::from_fn(|_| PaddedLane {
                counters: Lane::new(),
                pattern: Pattern::new(),
            }),
        }
    }

    /// Resolves a fault at host address `addr`, such as a first touch.
    ///
    /// Async-signal-safe; must not be called by a thread that holds the writer lock. The space, and all that it finds in
    /// it, stays as long as the caller is a reader.
    pub(crate) fn handle_fault(
        &self,
        addr: usize,
        access: crate::Access,
        pager: &dyn Pager,
        reading: &Reading<'_>,
    ) -> Outcome {
        if cfg!(feature = "speculation") && self.speculation.load(Ordering::Relaxed) {
            match self.handle_speculative_fault(addr, access, pager, reading) {
                Ok(outcome) => return outcome,
                Err(Abort::NeedsLock) => {}
                Err(reason) => self.lane().counters.abort(reason),
            }
        }
        self.handle_classic_fault(addr, access, pager)
    }

    /// First byte of the reservation.
    pub(crate) fn base(&self) -> usize {
        self.base.load(Ordering::Relaxed)
    }

    /// Pages that are committed now; those of open VMAs do not count.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Whether so many pages may be in memory.
    pub(crate) fn may_hold(&self, pages: usize) -> bool {
        let held = self.lock.lock();
        let all = PageRange::new(0, self.accessible.load(Ordering::Relaxed));
        self.resident() >= pages || self.any(&held, all, |attrs| attrs.is_open())
    }

    /// Pages in the accessible part.
    pub(crate) fn accessible(&self) -> usize {
        // Acquire pairs with the Release in `grow`: a thread that sees the new size may touch the new pages.
        self.accessible.load(Ordering::Acquire)
    }

    /// Everything that this space ever counted; the numbers keep rising over all its lives.
    pub(crate) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for lane in &self.lanes {
            lane.counters.add_to(&mut sum);
        }
        sum
    }

    /// Switches speculation on or off.
    pub(crate) fn set_speculation(&self, on: bool) {
        self.speculation.store(on, Ordering::Relaxed);
    }

    /// Whether `resident` is exact. If not, pages that the kernel has brought are missing in it.
    pub(crate) fn counts_all(&self) -> bool {
        !self.policy().opens()
    }

    fn policy(&self) -> Policy {
        Policy::from_bits(self.policy.load(Ordering::Relaxed))
    }

    fn lane(&self) -> &PaddedLane {
        &self.lanes[primitive::lane()]
    }
}
