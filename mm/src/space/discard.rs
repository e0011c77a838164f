//! `discard` and `reset`: giving memory back. A discarded page reads zero from then on, whatever backed it.

use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, Backing, Extent, PageRange};
use super::unmap::Unmap;
use super::{Pool, Space, plan};
use crate::Protection;
use crate::error::{Error, Result};
use crate::pager::Pager;
use crate::sys::ImagePart;

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
        self.discard_held(&held, range, pool, pager)
    }

    fn discard_held(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        pool: &Pool,
        pager: &dyn Pager,
    ) -> Result<()> {
        if !self.any(held, range, |attrs| attrs.backing != Backing::Zero) {
            return self.unmap_page_range(held, range, Unmap::Zap, pager);
        }
        // A fault that read `Image` from the VMA before us must not bring the image back after us. So the bounds stay
        // odd until the pages are gone and the backing is `Zero`. This is done stripe by stripe, so that after a
        // failure each stripe either is as it was or reads zero.
        let to_zero = |attrs| Attrs { backing: Backing::Zero, ..attrs };
        range.stripes().try_for_each(|piece| {
            self.adjust(
                held,
                pool,
                piece,
                |old| plan::change(old, piece, to_zero),
                || self.unmap_page_range(held, piece, Unmap::Replace, pager),
            )
        })
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
            if self.any(&held, old, |attrs| attrs.backing != Backing::Zero) {
                self.discard_held(&held, old, pool, pager)?;
            }
            let protected =
                self.any(&held, old, |attrs| attrs.protection != Some(Protection::ReadWrite));
            // One section for both changes: memory that stays accessible is never seen as reserved.
            let fresh = PageRange::new(0, pages);
            let layout = |old: &[Extent]| {
                let reserved = plan::change(old, all, |_| Attrs::RESERVED);
                plan::change(&reserved, fresh, |_| Attrs::FRESH)
            };
            self.adjust(&held, pool, all, layout, || {
                self.unmap_page_range(&held, old, Unmap::Zap, pager)?;
                if protected {
                    self.make_protection_true(&held, old, Protection::ReadWrite, pager)?;
                }
                let closed = PageRange::new(pages, old.end);
                let opened = PageRange::new(old.end, pages);
                self.map_at_once(&held, closed, Protection::NoAccess, pager)
                    .and_then(|()| self.map_at_once(&held, opened, Protection::ReadWrite, pager))
                    .inspect_err(|_| self.restore_mappings(&held, old, pager))
            })?;
        }
        self.accessible.store(pages, Ordering::Release);
        Ok(())
    }

    /// Discards `range` and makes it start as `image` from now on.
    ///
    /// Byte `a` of the reservation starts as the byte at `a + delta`. The caller keeps both the file and that view of
    /// it alive until the space is reset or destroyed.
    pub(crate) fn attach_image(
        &self,
        range: PageRange,
        image: ImagePart,
        delta: usize,
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
        let to_image = |attrs| Attrs { backing: Backing::Image { delta }, ..attrs };
        self.adjust(
            &held,
            pool,
            range,
            |old| plan::change(old, range, to_image),
            || self.unmap_at_once(&held, range, Unmap::Attach(image), pager),
        )
    }

    /// Whether a VMA in `range` has attributes that match `like`.
    fn any(&self, held: &LockGuard<'_>, range: PageRange, like: impl Fn(Attrs) -> bool) -> bool {
        self.table
            .held(held)
            .iter()
            .map(|vma| vma.extent())
            .any(|extent| !extent.range.intersect(range).is_empty() && like(extent.attrs))
    }
}
