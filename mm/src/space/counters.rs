//! Counters of events: cheap enough to be always on, exact enough to tune by.

use super::primitive::{Ordering, PlainU64};

/// Why a speculative fault was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Abort {
    /// A writer is inside the VMA's bounds.
    BoundsOdd,
    /// The VMA's bounds moved meanwhile.
    BoundsChanged,
    /// A writer is changing what is present.
    PagesOdd,
    /// What is present changed meanwhile.
    PagesChanged,
    /// The table of VMAs, or the whole space, changed meanwhile.
    StructureChanged,
    /// The pager refused.
    PagerRefused,
    /// The commit would exceed the resident limit or the budget.
    ResidentLimit,
    /// What the fault is to do takes the lock: a window is to be opened, or a mapping is wrong. No failure.
    NeedsLock,
}

const ABORTS: usize = 7;

/// A snapshot of the counters of a region, or of all regions.
///
/// It is taken without stopping other threads: each number is exact, but they may be of slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Faults that were tried without a lock: those of `speculative` and the aborted ones.
    pub attempts: u64,
    /// Faults decided without a lock (a page was made present, or a denial was found).
    pub speculative: u64,
    /// Faults decided under the writer lock.
    pub classic: u64,
    /// Speculative faults that found the page claimed by another thread, or already present.
    pub claim_lost: u64,
    /// Aborted: a writer was inside the bounds.
    pub bounds_odd: u64,
    /// Aborted: the bounds moved.
    pub bounds_changed: u64,
    /// Aborted: a writer was changing which pages are present.
    pub pages_odd: u64,
    /// Aborted: which pages are present has changed.
    pub pages_changed: u64,
    /// Aborted: the VMAs were rearranged, or the region went away.
    pub structure_changed: u64,
    /// Aborted: the pager refused.
    pub pager_refused: u64,
    /// Aborted: the resident limit, or the budget, was in the way.
    pub resident_limit: u64,
    /// Faults that turned out to be in no living region.
    pub not_ours: u64,
    /// Accesses found to be denied, with or without a lock.
    pub denied: u64,
    /// Pages ever committed.
    pub pages_committed: u64,
    /// Windows left to the kernel by faults.
    pub opened: u64,
}

impl Counters {
    /// All speculative faults that were aborted.
    pub fn aborts(&self) -> u64 {
        self.bounds_odd
            + self.bounds_changed
            + self.pages_odd
            + self.pages_changed
            + self.structure_changed
            + self.pager_refused
            + self.resident_limit
    }

    /// The difference from `earlier` to this snapshot.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.combine(earlier, u64::wrapping_sub)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.combine(other, u64::wrapping_add)
    }

    fn combine(&self, other: &Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            attempts: by(self.attempts, other.attempts),
            speculative: by(self.speculative, other.speculative),
            classic: by(self.classic, other.classic),
            claim_lost: by(self.claim_lost, other.claim_lost),
            bounds_odd: by(self.bounds_odd, other.bounds_odd),
            bounds_changed: by(self.bounds_changed, other.bounds_changed),
            pages_odd: by(self.pages_odd, other.pages_odd),
            pages_changed: by(self.pages_changed, other.pages_changed),
            structure_changed: by(self.structure_changed, other.structure_changed),
            pager_refused: by(self.pager_refused, other.pager_refused),
            resident_limit: by(self.resident_limit, other.resident_limit),
            not_ours: by(self.not_ours, other.not_ours),
            denied: by(self.denied, other.denied),
            pages_committed: by(self.pages_committed, other.pages_committed),
            opened: by(self.opened, other.opened),
        }
    }
}

/// The counters of one lane. Relaxed everywhere: a statistic orders nothing.
pub(crate) struct Lane {
    aborts: [PlainU64; ABORTS],
    speculative: PlainU64,
    classic: PlainU64,
    claim_lost: PlainU64,
    not_ours: PlainU64,
    denied: PlainU64,
    committed: PlainU64,
    opened: PlainU64,
}

impl Lane {
    /// All zero.
    pub(crate) fn new() -> Self {
        let zero = || PlainU64::new(0);
        Self {
            aborts: std::array::from_fn(|_| zero()),
            speculative: zero(),
            classic: zero(),
            claim_lost: zero(),
            not_ours: zero(),
            denied: zero(),
            committed: zero(),
            opened: zero(),
        }
    }

    /// A speculative fault was aborted, for any reason but `NeedsLock`.
    pub(crate) fn abort(&self, reason: Abort) {
        self.aborts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A fault was decided without a lock.
    pub(crate) fn speculative(&self) {
        self.speculative.fetch_add(1, Ordering::Relaxed);
    }

    /// A fault was decided under the lock.
    pub(crate) fn classic(&self) {
        self.classic.fetch_add(1, Ordering::Relaxed);
    }

    /// A fault met another one at the same page.
    pub(crate) fn claim_lost(&self) {
        self.claim_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A fault was on a space that is gone.
    pub(crate) fn not_ours(&self) {
        self.not_ours.fetch_add(1, Ordering::Relaxed);
    }

    /// An access was denied.
    pub(crate) fn denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    /// Pages were committed.
    pub(crate) fn committed(&self, pages: usize) {
        self.committed.fetch_add(pages as u64, Ordering::Relaxed);
    }

    /// A window was opened.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds this lane to a snapshot.
    pub(crate) fn add_to(&self, sum: &mut Counters) {
        let get = |counter: &PlainU64| counter.load(Ordering::Relaxed);
        let abort = |reason: Abort| get(&self.aborts[reason as usize]);
        let mut lane = Counters {
            attempts: 0,
            speculative: get(&self.speculative),
            classic: get(&self.classic),
            claim_lost: get(&self.claim_lost),
            bounds_odd: abort(Abort::BoundsOdd),
            bounds_changed: abort(Abort::BoundsChanged),
            pages_odd: abort(Abort::PagesOdd),
            pages_changed: abort(Abort::PagesChanged),
            structure_changed: abort(Abort::StructureChanged),
            pager_refused: abort(Abort::PagerRefused),
            resident_limit: abort(Abort::ResidentLimit),
            not_ours: get(&self.not_ours),
            denied: get(&self.denied),
            pages_committed: get(&self.committed),
            opened: get(&self.opened),
        };
        lane.attempts = lane.speculative + lane.aborts();
        *sum = sum.plus(&lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of event, each another power of two times, so that a sum tells which ones it holds.
    fn each_event_counted() -> Counters {
        let reasons = [
            Abort::BoundsOdd,
            Abort::BoundsChanged,
            Abort::PagesOdd,
            Abort::PagesChanged,
            Abort::StructureChanged,
            Abort::PagerRefused,
            Abort::ResidentLimit,
        ];
        assert_eq!(reasons.len(), ABORTS);
        let lane = Lane::new();
        for (bit, reason) in reasons.into_iter().enumerate() {
            (0..1 << bit).for_each(|_| lane.abort(reason));
        }
        (0..1 << 7).for_each(|_| lane.speculative());
        (0..1 << 8).for_each(|_| lane.classic());
        (0..1 << 9).for_each(|_| lane.claim_lost());
        (0..1 << 10).for_each(|_| lane.not_ours());
        (0..1 << 11).for_each(|_| lane.denied());
        lane.committed(1 << 12);
        (0..1 << 13).for_each(|_| lane.opened());
        let mut sum = Counters::default();
        lane.add_to(&mut sum);
        sum
    }

    #[test]
    fn each_event_has_a_counter_of_its_own() {
        let expected = Counters {
            attempts: (1 << 8) - 1,
            bounds_odd: 1 << 0,
            bounds_changed: 1 << 1,
            pages_odd: 1 << 2,
            pages_changed: 1 << 3,
            structure_changed: 1 << 4,
            pager_refused: 1 << 5,
            resident_limit: 1 << 6,
            speculative: 1 << 7,
            classic: 1 << 8,
            claim_lost: 1 << 9,
            not_ours: 1 << 10,
            denied: 1 << 11,
            pages_committed: 1 << 12,
            opened: 1 << 13,
        };
        assert_eq!(each_event_counted(), expected);
    }

    #[test]
    fn aborts_are_the_sum_of_all_reasons() {
        assert_eq!(each_event_counted().aborts(), (1 << ABORTS) - 1);
    }

    #[test]
    fn a_difference_and_a_sum_undo_each_other() {
        let once = each_event_counted();
        let twice = once.plus(&once);
        assert_eq!((twice.opened, twice.attempts), (2 * once.opened, 2 * once.attempts));
        assert_eq!(twice.since(&once), once);
        assert_eq!(once.since(&once), Counters::default());
    }
}
