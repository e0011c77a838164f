//! `protect`: read-only and no-access ranges. Contents stay; the accesses that faults may grant change.

use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, PAGE, PageRange};
use super::{Pool, Space, plan};
use crate::Protection;
use crate::error::{Error, Result};
use crate::pager::{Mapped, Pager};

impl Space {
    /// Gives all pages of `range` the protection `to`. When it returns, no thread can access them in a way that `to`
    /// forbids.
    pub(crate) fn protect(
        &self,
        range: PageRange,
        to: Protection,
        pool: &Pool,
        pager: &dyn Pager,
    ) -> Result<()> {
        let held = self.lock.lock();
        if range.end > self.accessible.load(Ordering::Relaxed) || range.start > range.end {
            return Err(Error::OutOfRange);
        }
        if range.is_empty() {
            return Ok(());
        }
        let change = |attrs| Attrs { protection: Some(to), ..attrs };
        self.adjust(
            &held,
            pool,
            range,
            |old| plan::change(old, range, change),
            || self.make_protection_true(&held, range, to, pager),
        )
    }

    /// Changes the system's protections accordingly; the caller is in a write section of all bounds in `range`.
    pub(super) fn make_protection_true(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        to: Protection,
        pager: &dyn Pager,
    ) -> Result<()> {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Err(Error::OutOfRange) };
        // Claims that passed their re-check before the counts turned odd are about to map pages in the old way.
        Self::mark_then_look();
        map.wait_for_claims(range);
        match pager.protect(geometry.base + range.start * PAGE, range.len() * PAGE, to) {
            Ok(Mapped::Exactly) => Ok(()),
            Ok(Mapped::NotAtAll) => {
                map.park(range);
                Ok(())
            }
            Err(error) => {
                // The call may have been carried out in part. Faults repair that by the old layout.
                self.doubtful.store(true, Ordering::Relaxed);
                map.park(range);
                self.restore_mappings(held, range, pager);
                Err(error.into())
            }
        }
    }
}
