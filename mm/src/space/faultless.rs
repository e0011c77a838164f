//! Spaces whose accesses never fault (`Pager::faults` returns false): the system maps everything as its VMA says at all
//! times.
//!
//! With other pagers, writers leave pages to faults. Here they change the mappings at once, and restore them when
//! something fails half-way. Page states are not kept: all pages stay absent.

use super::primitive::LockGuard;
use super::types::{Extent, PAGE, PageRange};
use super::{Outcome, Space};
use crate::error::Result;
use crate::pager::Pager;
use crate::sys::SysError;
use crate::{Access, FaultKind, Protection};

impl Space {
    /// Whether the VMAs allow `access` to all of `range`. Takes the lock only if something changes meanwhile.
    pub(crate) fn admits(
        &self,
        range: PageRange,
        access: Access,
    ) -> std::result::Result<(), (FaultKind, usize)> {
        if cfg!(feature = "speculation") && self.admits_for_sure(range, access) {
            return Ok(());
        }
        let held = self.lock.lock();
        self.check_access(&held, range, access)
    }

    /// Whether `access` is allowed to all of `range`, found without the lock. "No" means "ask again under the lock".
    pub(super) fn admits_for_sure(&self, range: PageRange, access: Access) -> bool {
        let mut page = range.start;
        while page < range.end {
            let Ok((vma, bounds, extent)) = self.find_vma(page) else { return false };
            if extent.denies(access).is_some() || vma.bounds.retry(bounds) {
                return false;
            }
            page = extent.range.end;
        }
        true
    }

    /// Calls `f` with the address, the length and the protection of each piece of `range`, as the VMAs say.
    pub(super) fn each_piece(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        mut f: impl FnMut(usize, usize, Protection) -> std::result::Result<(), SysError>,
    ) -> std::result::Result<(), SysError> {
        let base = self.geometry().base;
        self.extents(held, range).into_iter().try_for_each(|Extent { range, attrs }| {
            let protection = attrs.protection.unwrap_or(Protection::NoAccess);
            f(base + range.start * PAGE, range.len() * PAGE, protection)
        })
    }

    fn extents(&self, held: &LockGuard<'_>, range: PageRange) -> Vec<Extent> {
        let extents = self.table.held(held).iter().map(|vma| vma.extent());
        extents
            .map(|extent| Extent { range: extent.range.intersect(range), ..extent })
            .filter(|extent| !extent.range.is_empty())
            .collect()
    }

    /// Makes the system allow `to` in `range`, because faults will not. The VMAs are about to say the same.
    ///
    /// On failure the mappings are restored to what the VMAs say. If that is refused as well, a later fault restores
    /// them, if a handler is installed.
    pub(super) fn map_at_once(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        to: Protection,
        pager: &dyn Pager,
    ) -> Result<()> {
        if pager.faults() || range.is_empty() {
            return Ok(());
        }
        let (addr, len) = (self.geometry().base + range.start * PAGE, range.len() * PAGE);
        pager.protect(addr, len, to).map(drop).map_err(|error| {
            self.restore_mappings(held, range, pager);
            error.into()
        })
    }

    /// After a call that failed half-way: maps `range` as its VMAs say, as far as the system lets us.
    pub(super) fn restore_mappings(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        pager: &dyn Pager,
    ) {
        if !pager.faults() {
            let _ = self
                .each_piece(held, range, |addr, len, to| pager.protect(addr, len, to).map(drop));
        }
    }

    /// A fault that should not have happened, because the access is allowed: the mapping is not what its VMA says.
    pub(super) fn handle_odd_fault(
        &self,
        page: usize,
        extent: &Extent,
        base: usize,
        pager: &dyn Pager,
    ) -> std::result::Result<Outcome, FaultKind> {
        let to = extent.attrs.protection.unwrap_or(Protection::NoAccess);
        match pager.protect(base + page * PAGE, PAGE, to) {
            Ok(_) => Ok(Outcome::Resolved),
            Err(_) => Err(FaultKind::OutOfMemory),
        }
    }
}
