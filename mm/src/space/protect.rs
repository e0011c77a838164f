//! `protect`: read-only and no-access ranges. Contents stay; the accesses that faults may grant change.

use super::plan::Extents;
use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, PAGE, PageRange};
use super::{Pool, Space, plan};
use crate::Protection;
use crate::error::{Error, Result};
use crate::pager::{Mapped, Pager};

impl Space {
    /// Gives all pages of `range` the protection `to`. When it returns, no thread can access them in a way that `to`
    /// forbids.
    ///
    /// On failure everything is as it was. Only if the system also refuses to undo it, a part has changed.
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
        // Closed and open parts are different calls. Each is a change of its own, so that the VMAs say what is true
        // wherever it ends.
        let before: Extents = self.extents(&held, range).collect();
        let mut done = range.start;
        while done < range.end {
            let Some((run, _)) = self.runs(&held, PageRange::new(done, range.end)).next() else {
                break;
            };
            self.protect_run(&held, run, to, pool, pager).inspect_err(|_| {
                for old in &before {
                    let changed = old.range.intersect(PageRange::new(range.start, done));
                    let _ = self.protect_run(&held, changed, old.attrs.allowed(), pool, pager);
                }
            })?;
            done = run.end;
        }
        Ok(())
    }

    /// `protect` for a range that is open or closed as a whole.
    fn protect_run(
        &self,
        held: &LockGuard<'_>,
        run: PageRange,
        to: Protection,
        pool: &Pool,
        pager: &dyn Pager,
    ) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        let change = |attrs| Attrs { protection: Some(to), ..attrs };
        self.adjust(
            held,
            pool,
            run,
            |old| plan::change(old, run, change),
            || self.make_protection_true(held, run, to, pager),
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
        Self::settle(map, range);
        let change = |(run, open): (PageRange, bool)| {
            let (addr, len) = (geometry.base + run.start * PAGE, run.len() * PAGE);
            let mapped = if open {
                pager.system().protect(addr, len, to).map(|()| Mapped::Exactly)
            } else {
                pager.protect(addr, len, to)
            };
            if mapped? == Mapped::NotAtAll {
                map.park(run);
            }
            Ok(())
        };
        self.runs(held, range).try_for_each(change).inspect_err(|_| {
            // The call may have been carried out in part.
            self.doubtful.store(true, Ordering::Relaxed);
            self.restore_mappings(held, range, pager);
        })
    }
}
