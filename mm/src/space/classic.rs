//! The fault under the writer lock: the same steps without speculation. Always correct, always available. Windows are
//! opened here only.
//!
//! No count can move here. But speculative faults may have claims, so this path claims its pages, too. The lock makes
//! retries possible: with smaller windows when the limit or the system refuses the large one, and with windows that are
//! widened to a neighbour when the system has run out of mappings.

use super::commit::Refusal;
use super::pagemap::{Lost, PageMap};
use super::policy::{Step, Window};
use super::primitive::LockGuard;
use super::types::{Extent, PageRange};
use super::{Outcome, Space};
use crate::pager::Pager;
use crate::{Access, FaultKind};

/// The largest distance to a neighbour that a window is widened to, in pages (64 MiB).
const WIDEN_PAGES: usize = 16_384;

impl Space {
    /// Decides a fault under the lock.
    pub(super) fn handle_classic_fault(
        &self,
        addr: usize,
        access: Access,
        pager: &dyn Pager,
    ) -> Outcome {
        let held = self.lock.lock();
        let geometry = self.geometry();
        let found = geometry.page_of(addr).zip(geometry.map()).and_then(|(page, map)| {
            let extent = self.table.held(&held).at(page)?.extent();
            extent.range.contains(page).then_some((page, map, extent))
        });
        let Some((page, map, extent)) = found else {
            self.lane().counters.not_ours();
            return Outcome::NotOurs;
        };
        self.lane().counters.classic();
        let decided = match extent.denies(access) {
            Some(kind) => Err(kind),
            None if extent.attrs.is_open() => self.handle_open_fault(page, &extent, pager),
            None => self.commit_patiently(&held, (page, map), &extent, geometry.base, pager),
        };
        decided.unwrap_or_else(|kind| {
            self.lane().counters.denied();
            Outcome::Denied(kind)
        })
    }

    fn commit_patiently(
        &self,
        held: &LockGuard<'_>,
        (page, map): (usize, &PageMap),
        extent: &Extent,
        base: usize,
        pager: &dyn Pager,
    ) -> Result<Outcome, FaultKind> {
        let attempt = |window: PageRange| match map.claim(page, window.intersect(extent.range)) {
            Ok(claim) => {
                let range = claim.range();
                self.commit(claim, extent.attrs, base, pager).map(|()| (Outcome::Resolved, range))
            }
            // Another thread is making it present, or has done so: running the instruction again will tell.
            Err(lost) => {
                self.lane().counters.claim_lost();
                let claimed = lost == Lost::Claimed;
                Ok((if claimed { Outcome::Claimed } else { Outcome::Present }, window))
            }
        };
        let (pattern, policy) = (&self.lane().pattern, self.policy());
        // Near the budget nothing is brought that was not asked for.
        let least = match pager.brings_pages() && self.is_near_budget() {
            true => Window::alone(page, policy),
            false => Window::least(page, policy),
        };
        let first = match pattern.step(&self.place(page, *extent, map), policy) {
            Step::Bring(window) => window,
            Step::Open(window) => {
                let pages = self.openable(window.pages.intersect(extent.range), page);
                if self.may_open(page, extent.attrs, map, pager)
                    && !pages.is_empty()
                    && self.reserve_open(held, pages.len())
                    && self.open(held, map, pages, pager).is_ok()
                {
                    pattern.opened(window, pages);
                    if window.huge {
                        self.ask_for_huge_pages(held, pages, page, pager);
                    }
                    return Ok(Outcome::Resolved);
                }
                least
            }
        };
        for window in [first, least] {
            if let Ok((outcome, range)) = attempt(window.pages) {
                pattern.brought(window, range);
                return Ok(outcome);
            }
        }
        match attempt(PageRange::new(page, page + 1)) {
            Ok((outcome, _)) => return Ok(outcome),
            Err(Refusal::Limit) => return Err(FaultKind::ResidentLimit),
            Err(Refusal::Budget) => return Ok(Outcome::NoRoom),
            Err(Refusal::System(_)) => {}
        }
        // Perhaps the system is out of mappings: a window that ends at mapped memory moves a boundary between two of
        // the system's mappings instead of making new ones.
        widened(page, map, extent.range)
            .find_map(|window| attempt(window).ok())
            .map(|(outcome, _)| outcome)
            .ok_or(FaultKind::OutOfMemory)
    }
}

/// Windows from `page` to the nearest present page below and above.
fn widened(page: usize, map: &PageMap, bounds: PageRange) -> impl Iterator<Item = PageRange> {
    let low = bounds.start.max(page.saturating_sub(WIDEN_PAGES));
    let high = bounds.end.min(page.saturating_add(WIDEN_PAGES));
    let below = (low..page)
        .rev()
        .find(|&other| map.is_present(other))
        .map(|other| PageRange::new(other + 1, page + 1));
    let above = (page + 1..high)
        .find(|&other| map.is_present(other))
        .map(|other| PageRange::new(page, other));
    below.into_iter().chain(above)
}
