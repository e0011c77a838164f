//! `discard` and `reset`: giving memory back. What was discarded reads zero for ever after, whatever backed it.

use super::primitive::Ordering;
use super::types::{Attrs, Backing, Extent, PageRange};
use super::unmap::Unmap;
use super::{Pool, Space, plan};
use crate::error::{Error, Result};
use crate::pager::Pager;

impl Space {
    /// Makes the pages of `range` read zero and returns their memory to the system.
    pub(crate) fn discard(&self, range: PageRange, pool: &Pool, pager: &dyn Pager) -> Result<()> {
        let held = self.lock.lock();
        if range.end > self.accessible.load(Ordering::Relaxed) || range.start > range.end {
            return Err(Error::OutOfRange);
        }
        if range.is_empty() {
            return Ok(());
        }
        if !self.has_image(range) {
            return self.unmap_page_range(&held, range, Unmap::Zap, pager);
        }
        // A fault that read `Image` from the VMA before us must not bring the image back after us: the bounds stay
        // odd until both the pages are gone and the backing is `Zero`.
        let to_zero = |attrs| Attrs { backing: Backing::Zero, ..attrs };
        self.adjust(
            &held,
            pool,
            range,
            |old| plan::change(old, range, to_zero),
            || self.unmap_page_range(&held, range, Unmap::Replace, pager),
        )
    }

    /// Discards everything, forgets images and protections, and makes the first `pages` pages accessible.
    pub(crate) fn reset(&self, pages: usize, pool: &Pool, pager: &dyn Pager) -> Result<()> {
        let held = self.lock.lock();
        if pages > self.maximum.load(Ordering::Relaxed) {
            return Err(Error::BeyondMaximum);
        }
        let old = PageRange::new(0, self.accessible.load(Ordering::Relaxed));
        let all = PageRange::new(0, old.end.max(pages));
        if !all.is_empty() {
            let how = if self.has_image(old) { Unmap::Replace } else { Unmap::Zap };
            // One section for both changes: what stays accessible is never seen reserved.
            let fresh = PageRange::new(0, pages);
            let layout = |old: &[Extent]| {
                let reserved = plan::change(old, all, |_| Attrs::RESERVED);
                plan::change(&reserved, fresh, |_| Attrs::FRESH)
            };
            self.adjust(&held, pool, all, layout, || {
                self.unmap_page_range(&held, old, how, pager)
            })?;
        }
        self.accessible.store(pages, Ordering::Release);
        Ok(())
    }

    fn has_image(&self, range: PageRange) -> bool {
        self.table.iter().map(|vma| vma.extent()).any(|extent| {
            extent.attrs.backing != Backing::Zero && !extent.range.intersect(range).is_empty()
        })
    }
}
