//! `grow`: making more of the reservation accessible. It never shrinks a space and never moves anything.

use super::commit::Refusal;
use super::policy::leaves_to_faults;
use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, PAGE, PageRange, Paging};
use super::unmap::Unmap;
use super::{Pool, Space, plan};
use crate::error::{Error, Result};
use crate::pager::Pager;

impl Space {
    /// Makes the first `pages` pages accessible. Does nothing if they already are.
    pub(crate) fn grow(&self, pages: usize, pool: &Pool, pager: &dyn Pager) -> Result<()> {
        let held = self.lock.lock();
        let old = self.accessible.load(Ordering::Relaxed);
        if pages <= old {
            return Ok(());
        }
        if pages > self.maximum.load(Ordering::Relaxed) {
            return Err(Error::BeyondMaximum);
        }
        let added = PageRange::new(old, pages);
        let fresh = self.attrs_of_growth(&held, added, pager);
        let fresh = self.attrs_within_budget(&held, added, fresh, Attrs::fresh(pager));
        let opened = if fresh.is_open() { self.open_growth(added, pager) } else { Ok(()) };
        let ahead = opened.and_then(|()| match pager.commits_at_grow() {
            true => self.commit_ahead(added, pager),
            false => {
                self.commit_owed(added, fresh, pager);
                Ok(())
            }
        });
        let done = ahead.and_then(|()| {
            if self.extend_last(&held, old, pages, fresh) {
                return Ok(());
            }
            self.adjust(&held, pool, added, |old| plan::change(old, added, |_| fresh), || Ok(()))
        });
        if let Err(error) = done {
            self.take_back(&held, added, fresh, pager);
            return Err(error);
        }
        // Release pairs with the Acquire in `accessible()`.
        self.accessible.store(pages, Ordering::Release);
        Ok(())
    }

    /// What `added` is to be. Where a fault had to open what was added last, the next addition will
    /// be touched in the same way, so it is opened at once: one system call instead of a signal and that call. Now and
    /// then an addition is left to faults, see [`leaves_to_faults`].
    fn attrs_of_growth(&self, held: &LockGuard<'_>, added: PageRange, pager: &dyn Pager) -> Attrs {
        let fresh = Attrs::fresh(pager);
        let last = added.start.checked_sub(1).and_then(|page| self.table.held(held).at(page));
        let follows = Attrs { paging: Paging::Kernel, ..Attrs::FRESH };
        if self.policy().opens_growth(added.len()) {
            return follows;
        }
        let opened = self.policy().opens() && self.openings.load(Ordering::Relaxed) != 0;
        if !opened || last.is_none_or(|vma| vma.extent().attrs != follows) {
            return fresh;
        }
        let growths = self.growths.load(Ordering::Relaxed) + 1;
        self.growths.store(growths, Ordering::Relaxed);
        if leaves_to_faults(growths) { fresh } else { follows }
    }

    /// After a failure: gives back pages that were committed ahead, and what was opened. If that fails, too, committed
    /// pages stay counted until they are reset, and opened ones are accessible before their time.
    fn take_back(&self, held: &LockGuard<'_>, added: PageRange, fresh: Attrs, pager: &dyn Pager) {
        let _ = self.unmap_page_range(held, added, Unmap::Zap, pager);
        if fresh.is_open() {
            let addr = self.geometry().base + added.start * PAGE;
            let _ = pager.close(addr, added.len() * PAGE);
        }
        self.settle_open(held);
    }

    /// The common case: the last accessible VMA becomes longer, without a system call or an allocation.
    fn extend_last(&self, held: &LockGuard<'_>, old: usize, new: usize, fresh: Attrs) -> bool {
        if old == 0 {
            return false;
        }
        let table = self.table.held(held);
        let Some(index) = table.find(old - 1) else { return false };
        let alike = table.get(index).is_some_and(|vma| vma.extent().attrs == fresh);
        let remains = table.get(index + 1).is_some_and(|tail| tail.extent().range.end > new);
        alike && remains && self.move_boundary(held, index, new)
    }

    /// Commits what a proven sequence of this thread owes of `added`: growth that is always touched at once. What the system
    /// refuses comes by faults.
    fn commit_owed(&self, added: PageRange, fresh: Attrs, pager: &dyn Pager) {
        let pattern = &self.lane().pattern;
        let Some(owed) = pattern.owed(added) else { return };
        if fresh.is_open() || !self.policy().opens() {
            return;
        }
        if self.commit_ahead(owed, pager).is_ok() {
            pattern.paid(owed.end);
        }
    }

    /// Commits pages that are about to become accessible, as far as the limit allows; the rest comes by faults.
    fn commit_ahead(&self, added: PageRange, pager: &dyn Pager) -> Result<()> {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Ok(()) };
        let room = self.limit.load(Ordering::Relaxed).saturating_sub(self.resident());
        let end = added.end.min(added.start.saturating_add(room));
        let mut page = added.start;
        while page < end {
            // Nobody else commits beyond the accessible part, so a page that is not absent here is present already.
            let Ok(claim) = map.claim(page, PageRange::new(page, end)) else {
                page += 1;
                continue;
            };
            page = claim.range().end;
            match self.commit(claim, Attrs::FRESH, geometry.base, pager) {
                Ok(()) => {}
                Err(Refusal::Limit | Refusal::Budget) => break,
                Err(Refusal::System(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
