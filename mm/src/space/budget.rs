//! `Budget`: how many pages all spaces that share it may hold together.
//!
//! A space is charged for every page that may be in memory without another fault: for those that it has committed, and
//! for open VMAs as a whole, since the kernel brings their pages without a word. So what is resident never exceeds what
//! is charged, and what is charged never exceeds the limit. It is one counter, changed by one compare-exchange at a time:
//! a charge that would exceed the limit changes nothing.
//!
//! The charge may be more than what is resident. Near the limit [`recount`](super::recount) makes it exact. How near that
//! is, and who is asked to give memory back, is decided in `crate::budget`, outside of the core.
//!
//! A space refers to its budget only under a claim that has passed its re-check, or under its writer lock: the end of its
//! use waits for both.

use super::primitive::{LockGuard, Ordering, PlainUsize};
use super::types::{Attrs, Extent, PageRange, STRIPE_PAGES};
use super::{Outcome, Space};
use crate::FaultKind;

/// A window that is opened takes one part in so many of what is left, at most. So openings become smaller, and end well
/// before the limit.
const SHARE: usize = 8;

/// A limit on the pages of several spaces, and what is charged. Relaxed throughout: the numbers order nothing.
pub(crate) struct Budget {
    limit: PlainUsize,
    /// Where the limit may have moved when more than this is charged.
    due: PlainUsize,
    charged: PlainUsize,
    /// Pages that were charged before they were resident, if they are, since spaces were last recounted.
    unproven: PlainUsize,
    /// Pages that were charged and not resident after that.
    remaining: PlainUsize,
}

impl Budget {
    /// Of `limit` pages.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: PlainUsize::new(limit),
            due: PlainUsize::new(usize::MAX),
            charged: PlainUsize::new(0),
            unproven: PlainUsize::new(0),
            remaining: PlainUsize::new(0),
        }
    }

    /// Most pages that may be charged.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit; what is charged already stays so. When more than `due` pages are charged, it should be looked at
    /// again.
    pub(crate) fn set_limit(&self, pages: usize, due: usize) {
        self.limit.store(pages, Ordering::Relaxed);
        self.due.store(due, Ordering::Relaxed);
    }

    /// Whether so much is charged that the limit should be looked at again.
    pub(crate) fn is_due(&self) -> bool {
        self.charged() > self.due.load(Ordering::Relaxed)
    }

    /// Pages that are charged.
    pub(crate) fn charged(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// Pages that may still be charged.
    pub(crate) fn room(&self) -> usize {
        self.limit().saturating_sub(self.charged())
    }

    /// Charges `pages` pages, unless that exceeds the limit.
    pub(crate) fn charge(&self, pages: usize) -> bool {
        let limit = self.limit();
        let within = |now: usize| now.checked_add(pages).filter(|&sum| sum <= limit);
        self.charged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    /// Takes `pages` pages off the charge.
    pub(crate) fn uncharge(&self, pages: usize) {
        self.charged.fetch_sub(pages, Ordering::Relaxed);
    }

    /// Notes that `pages` of the charged pages may not be resident.
    pub(super) fn may_be_too_much(&self, pages: usize) {
        self.unproven.fetch_add(pages, Ordering::Relaxed);
    }

    /// Pages that may be charged without being resident; at most, and not more than are charged.
    pub(crate) fn unproven(&self) -> usize {
        (self.news() + self.remaining.load(Ordering::Relaxed)).min(self.charged())
    }

    /// Of those, what a recount has not looked at yet.
    pub(crate) fn news(&self) -> usize {
        self.unproven.load(Ordering::Relaxed)
    }

    /// All spaces are recounted by `recount`, which returns how many pages stay charged that are not resident.
    pub(crate) fn prove(&self, recount: impl FnOnce() -> usize) {
        self.unproven.store(0, Ordering::Relaxed);
        self.remaining.store(recount(), Ordering::Relaxed);
    }
}

/// Pages of open VMAs among `extents`.
fn open_pages(extents: impl Iterator<Item = Extent>) -> usize {
    let open = extents.filter(|extent| extent.attrs.is_open());
    open.map(|extent| extent.range.len()).sum()
}

impl Space {
    /// The budget that the space shares, if it does.
    pub(super) fn budget(&self) -> Option<&Budget> {
        // SAFETY: null, or the budget of the blueprint, which outlives the space's use. The callers hold the writer lock,
        // or a claim that has passed its re-check.
        unsafe { self.budget.load(Ordering::Relaxed).as_ref() }
    }

    /// Whether the space shares a budget of which so little is left that windows are no longer opened.
    pub(super) fn is_near_budget(&self) -> bool {
        self.most_to_open() < STRIPE_PAGES
    }

    /// How many pages may be opened at once.
    pub(super) fn most_to_open(&self) -> usize {
        self.budget().map_or(usize::MAX, |budget| budget.room() / SHARE)
    }

    /// The part of `window`, which is to be opened for `page`, that the budget has room for; empty if nothing is to be
    /// opened.
    pub(super) fn openable(&self, window: PageRange, page: usize) -> PageRange {
        let most = self.most_to_open();
        if self.is_near_budget() {
            return PageRange::default();
        }
        if window.len() <= most {
            return window;
        }
        let stripe = PageRange::stripe_of(page);
        window.intersect(PageRange::new(
            stripe.start,
            stripe.start + most / STRIPE_PAGES * STRIPE_PAGES,
        ))
    }

    /// Charges `pages` pages that are about to be opened, if there is room for them. Whatever becomes of it, [`settle_open`](Self::settle_open) comes
    /// afterwards.
    pub(super) fn reserve_open(&self, _held: &LockGuard<'_>, pages: usize) -> bool {
        let Some(budget) = self.budget() else { return true };
        if !budget.charge(pages) {
            return false;
        }
        budget.may_be_too_much(pages);
        self.open.store(self.open.load(Ordering::Relaxed) + pages, Ordering::Relaxed);
        true
    }

    /// Gives back what is charged for open VMAs beyond what is open.
    pub(super) fn settle_open(&self, held: &LockGuard<'_>) {
        let Some(budget) = self.budget() else { return };
        let now = open_pages(self.table.held(held).iter().map(|vma| vma.extent()));
        let before = self.open.swap(now, Ordering::Relaxed);
        budget.uncharge(before - now);
    }

    /// Pages of `range` that are not open: those that opening it adds.
    pub(super) fn closed_pages(&self, held: &LockGuard<'_>, range: PageRange) -> usize {
        range.len() - open_pages(self.extents(held, range))
    }

    /// The budget has no room for a page of the space.
    pub(crate) fn deny(&self) -> Outcome {
        self.lane().counters.denied();
        Outcome::Denied(FaultKind::ResidentLimit)
    }

    /// Pages that the space is charged for; a hint, unless the lock is held.
    pub(crate) fn charge_of_all(&self) -> usize {
        self.resident() + self.open.load(Ordering::Relaxed)
    }

    /// Charges `added` pages of a growth that is to be open. If that is too much, it is not to be.
    pub(super) fn attrs_within_budget(
        &self,
        held: &LockGuard<'_>,
        added: PageRange,
        fresh: Attrs,
        otherwise: Attrs,
    ) -> Attrs {
        let opens = fresh.is_open() && self.budget().is_some();
        if !opens {
            return fresh;
        }
        let fits = added.len() <= self.most_to_open();
        if fits && self.reserve_open(held, added.len()) { fresh } else { otherwise }
    }
}
