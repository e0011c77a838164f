//! The fault without a lock: look, claim, look again, and only then act.
//!
//! The steps are numbered as in `docs/faults.md`. Nothing here waits or allocates, or writes anything shared before the
//! claim. Every early return before step 9 leaves the space as it was.

use super::counters::Abort;
use super::pagemap::{Lost, PageMap};
use super::policy::{Place, Step, Window};
use super::primitive::{self, Fence, Ordering};
use super::seqcount::Seen;
use super::types::Extent;
use super::vma::Vma;
use super::{Outcome, Reading, Space, checks, commit::Refusal};
use crate::pager::Pager;
use crate::{Access, FaultKind, Protection};

/// How often a VMA that moves during its look-up is looked up again.
const LOOKUPS: usize = 3;

impl Extent {
    /// Why an access is not allowed here; `None` when it is.
    pub(super) fn denies(&self, access: Access) -> Option<FaultKind> {
        match (self.attrs.protection, access) {
            (None, _) => Some(FaultKind::OutOfBounds),
            (Some(Protection::NoAccess), _) | (Some(Protection::ReadOnly), Access::Write) => {
                Some(FaultKind::Protection)
            }
            _ => None,
        }
    }
}

impl Space {
    /// Steps 2 to 9. Step 1, the classification, is done by the signal handler.
    pub(crate) fn handle_speculative_fault(
        &self,
        addr: usize,
        access: Access,
        pager: &dyn Pager,
        reading: &Reading<'_>,
    ) -> Result<Outcome, Abort> {
        let geometry = self.geometry();
        let page = geometry.page_of(addr).ok_or(Abort::StructureChanged)?;
        // 2, 3: the VMA, and a snapshot of it.
        let (vma, bounds, extent) = self.find_vma(page, reading)?;
        // 4: a denial counts only if the snapshot that it comes from is valid.
        if let Some(kind) = extent.denies(access) {
            if !checks::is_whole(vma, bounds) {
                return Err(Abort::BoundsChanged);
            }
            self.lane().counters.denied();
            self.lane().counters.speculative();
            return Ok(Outcome::Denied(kind));
        }
        if extent.attrs.is_open() {
            // Another fault has opened it in the meantime, unless a mapping is wrong.
            return if self.may_be_wrong(pager) {
                Err(Abort::NeedsLock)
            } else {
                Ok(self.is_there())
            };
        }
        // 5: which pages are present. The geometry is read again under this count, which covers it.
        let shard = self.shards.of(page, geometry.mask);
        let pages = shard.try_begin().ok_or(Abort::PagesOdd)?;
        if !checks::is_still_at(self, geometry) {
            return Err(Abort::StructureChanged);
        }
        let map = geometry.map().ok_or(Abort::StructureChanged)?;
        // 6, 7: choose a window and claim it. A thread that has already claimed the page works for us, too.
        let lane = self.lane();
        let place = self.place(page, extent, map);
        let window = match lane.pattern.step(&place, self.policy()) {
            Step::Bring(window) => window,
            Step::Open(_) if self.may_open(page, extent.attrs, map, pager) => {
                return Err(Abort::NeedsLock);
            }
            Step::Open(_) => Window::least(page, self.policy()),
        };
        let claim = match map.claim(page, window.pages.intersect(extent.range)) {
            Ok(claim) => claim,
            Err(Lost::Stale) => return Err(Abort::StructureChanged),
            Err(lost) => {
                let there = self.is_there();
                return Ok(if lost == Lost::Claimed { Outcome::Claimed } else { there });
            }
        };
        // 8: both counts again, under the claim. The fence pairs with the writers' (`mark_then_look`): either the writer
        // sees this claim and waits for it, or the loads below see the writer's odd count (or a later one).
        primitive::fence(Fence::ClaimThenCheck, Ordering::SeqCst);
        let range = claim.range();
        checks::recheck(self, (shard, pages), (vma, bounds, extent), range)?;
        // 9: populate, publish, account.
        self.commit(claim, extent.attrs, geometry.base, pager).map_err(
            |refusal| match refusal {
                Refusal::Limit | Refusal::Budget => Abort::ResidentLimit,
                Refusal::System(_) => Abort::PagerRefused,
            },
        )?;
        lane.pattern.brought(window, range);
        lane.counters.speculative();
        Ok(Outcome::Resolved)
    }

    /// Counts a fault that another one has resolved.
    fn is_there(&self) -> Outcome {
        let counters = &self.lane().counters;
        counters.claim_lost();
        counters.speculative();
        Outcome::Present
    }

    /// Whether an open range may be mapped otherwise than its VMA says.
    pub(super) fn may_be_wrong(&self, pager: &dyn Pager) -> bool {
        !pager.faults() || self.doubtful.load(Ordering::Relaxed)
    }

    /// What the policy is told of a fault.
    pub(super) fn place(&self, page: usize, extent: Extent, map: &PageMap) -> Place {
        let openings = self.openings.load(Ordering::Relaxed);
        Place {
            page,
            vma: extent.range,
            density: map.density(page),
            is_first: openings == 0 && self.resident() == 0,
            openings,
            is_new: extent.range.start >= self.opened_within.load(Ordering::Relaxed),
        }
    }

    /// The VMA that holds `page`, with a snapshot that is not validated yet; its count is returned for that.
    pub(super) fn find_vma<'a>(
        &'a self,
        page: usize,
        _reading: &'a Reading<'_>,
    ) -> Result<(&'a Vma, Seen, Extent), Abort> {
        let mut reason = Abort::StructureChanged;
        for _ in 0..LOOKUPS {
            let vma = match self.table.find_speculatively(page) {
                Ok(vma) => vma,
                Err(abort) => {
                    reason = abort;
                    continue;
                }
            };
            let bounds = vma.bounds.try_begin().ok_or(Abort::BoundsOdd)?;
            let extent = vma.extent();
            let ours = checks::is_of(vma, self);
            if ours && extent.range.contains(page) {
                return Ok((vma, bounds, extent));
            }
            reason = if ours { Abort::BoundsChanged } else { Abort::StructureChanged };
        }
        Err(reason)
    }

    /// The owner that VMAs of this space carry.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
