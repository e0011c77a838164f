//! Making claimed pages present: charge, populate, publish. The last step of both paths.

use super::pagemap::{Claim, PageMap, Prior};
use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, Backing, PAGE, PageRange};
use super::{Reading, Space};
use crate::pager::{Commit, Pager};
use crate::sys::SysError;
use crate::{Access, FaultKind, Protection};

/// Why a commit did not happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// It would exceed the resident limit.
    Limit,
    /// It would exceed the budget.
    Budget,
    /// The system refused.
    System(SysError),
}

impl Space {
    /// Populates what is claimed and publishes it. On failure the pages are as they were.
    pub(super) fn commit(
        &self,
        claim: Claim<'_>,
        attrs: Attrs,
        base: usize,
        pager: &dyn Pager,
    ) -> Result<(), Refusal> {
        let fresh = if claim.prior() == Prior::Absent { claim.range().len() } else { 0 };
        self.charge(fresh)?;
        let done = self.populate(&claim, attrs, base, pager);
        // Under the claim, as long as which the space is not torn down.
        self.uncharge(fresh - done.map_or(0, |done| done.min(fresh)));
        if !pager.brings_pages() {
            self.budget().inspect(|budget| budget.may_be_too_much(fresh));
        }
        claim.publish(done.map_err(Refusal::System)?);
        Ok(())
    }

    /// Populates what is claimed, which is charged; returns how many pages of it, counted from the start.
    fn populate(
        &self,
        claim: &Claim<'_>,
        attrs: Attrs,
        base: usize,
        pager: &dyn Pager,
    ) -> Result<usize, SysError> {
        let range = claim.range();
        let order = Commit {
            addr: base + range.start * PAGE,
            len: range.len() * PAGE,
            protection: attrs.protection.unwrap_or(Protection::NoAccess),
            source: match attrs.backing {
                Backing::Zero => None,
                Backing::Image { delta } => Some((base + range.start * PAGE).wrapping_add(delta)),
            },
            resident: claim.prior() == Prior::Parked,
            remap: self.doubtful.load(Ordering::Relaxed),
        };
        let done = match pager.populate(&order) {
            Ok(bytes) => bytes / PAGE,
            Err(error) => {
                if range.len() > 1 && !pager.refuses_exactly() {
                    // The system may have done a part of it: from now on nothing is skipped because it seems untouched.
                    self.doubtful.store(true, Ordering::Relaxed);
                }
                return Err(error);
            }
        };
        if claim.prior() == Prior::Absent {
            self.lane().counters.committed(done);
        }
        Ok(done)
    }

    /// Counts `pages` as resident, unless that exceeds the space's limit or the budget.
    pub(super) fn charge(&self, pages: usize) -> Result<(), Refusal> {
        if pages == 0 {
            return Ok(());
        }
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == usize::MAX {
            self.resident.fetch_add(pages, Ordering::Relaxed);
        } else {
            // Relaxed: the counter orders nothing. The limit is exact because all threads change the same location.
            let within = |now: usize| now.checked_add(pages).filter(|&sum| sum <= limit);
            self.resident
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
                .map_err(|_| Refusal::Limit)?;
        }
        if self.budget().is_none_or(|budget| budget.charge(pages)) {
            return Ok(());
        }
        self.resident.fetch_sub(pages, Ordering::Relaxed);
        Err(Refusal::Budget)
    }

    /// Takes `pages` off the resident count.
    pub(super) fn uncharge(&self, pages: usize) {
        if pages != 0 {
            self.resident.fetch_sub(pages, Ordering::Relaxed);
            if let Some(budget) = self.budget() {
                budget.uncharge(pages);
            }
        }
    }

    /// Makes every page of `range` present, for accesses that raise no signal (those of the kernel). Pages of open VMAs
    /// come by themselves.
    ///
    /// If the access is denied or exceeds the limit, this is found before the first page is committed.
    pub(crate) fn fault_in(
        &self,
        range: PageRange,
        access: Access,
        pager: &dyn Pager,
        reading: &Reading<'_>,
    ) -> Result<(), (FaultKind, usize)> {
        if self.is_ready(range, access, reading) {
            return Ok(());
        }
        let held = self.lock.lock();
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Err((FaultKind::OutOfBounds, range.start)) };
        self.check_access(&held, range, access)?;
        // Of open pages none is resident; their charge is given back below.
        let absent = range.len() - map.count_resident(range);
        self.charge(absent).map_err(|_| (FaultKind::ResidentLimit, range.start))?;
        let mut used = 0;
        let result = self.commit_range(&held, range, map, geometry.base, pager, &mut used);
        // Gives back the charge for pages that others have committed meanwhile, or whose commit failed.
        self.uncharge(absent - used);
        if !pager.brings_pages() {
            self.budget().inspect(|budget| budget.may_be_too_much(used));
        }
        result
    }

    /// Whether all of `range` is present or open, and allows the access, found without the lock. "No" means "ask again under the
    /// lock".
    fn is_ready(&self, range: PageRange, access: Access, reading: &Reading<'_>) -> bool {
        if !cfg!(feature = "speculation") {
            return false;
        }
        // The caller owns the region, so the space has not moved. A discard from now on could take the pages away after
        // a look under the lock as well.
        self.geometry().map().is_some_and(|map| {
            self.admits_for_sure(range, access, reading, |part| {
                part.attrs.is_open() || map.are_present(part.range)
            })
        })
    }

    /// Whether `access` is allowed to all of `range`.
    pub(super) fn check_access(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        access: Access,
    ) -> Result<(), (FaultKind, usize)> {
        let mut page = range.start;
        while page < range.end {
            let vma = self.table.held(held).at(page);
            let extent = vma.ok_or((FaultKind::OutOfBounds, page))?.extent();
            if let Some(kind) = extent.denies(access) {
                return Err((kind, page));
            }
            page = extent.range.end;
        }
        Ok(())
    }

    fn commit_range(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        map: &PageMap,
        base: usize,
        pager: &dyn Pager,
        used: &mut usize,
    ) -> Result<(), (FaultKind, usize)> {
        let mut page = range.start;
        while page < range.end {
            if map.is_present(page) {
                page += 1;
                continue;
            }
            let Some(vma) = self.table.held(held).at(page) else {
                return Err((FaultKind::OutOfBounds, page));
            };
            let extent = vma.extent();
            if extent.attrs.is_open() {
                page = extent.range.end;
                continue;
            }
            match map.claim(page, extent.range.intersect(range)) {
                Ok(claim) => {
                    let end = claim.range().end;
                    let is_fresh = claim.prior() == Prior::Absent;
                    let done = self
                        .populate(&claim, extent.attrs, base, pager)
                        .map_err(|_| (FaultKind::OutOfMemory, page))?;
                    claim.publish(done);
                    *used += if is_fresh { done } else { 0 };
                    page = end;
                }
                // A speculative committer has claimed it. It waits for nobody, so it will finish.
                Err(_) => map.wait_for_claims(PageRange::new(page, page + 1)),
            }
        }
        Ok(())
    }
}
