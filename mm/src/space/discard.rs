//! `discard` and `reset`: giving memory back. A discarded page reads zero from then on, whatever backed it.

use super::plan::Extents;
use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, Backing, Extent, PAGE, PageRange, Paging};
use super::unmap::Unmap;
use super::{Budget, Pool, Space, plan};
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
            // What follows may be used in another way than what was used densely, and the same way is found again soon.
            let dense = self.asks_for_huge_pages(&held);
            if self.any(&held, old, |attrs| attrs.backing != Backing::Zero) {
                self.discard_held(&held, old, pool, pager)?;
            }
            // One section for both changes: memory that stays accessible is never seen as reserved.
            let [kept, cut, added] = reset_parts(old, pages);
            let stays_open = |attrs| stays_open(attrs, pager) && !dense;
            let layout = |extents: &[Extent]| {
                let kept_open =
                    |attrs| if stays_open(attrs) { Paging::Kernel } else { Paging::Faults };
                let fresh = plan::change(extents, kept, |attrs| Attrs {
                    paging: kept_open(attrs),
                    ..Attrs::FRESH
                });
                let shorter = plan::change(&fresh, cut, |_| Attrs::RESERVED);
                plan::change(&shorter, added, |_| Attrs::fresh(pager))
            };
            let done = self.adjust(&held, pool, all, layout, || {
                self.reset_mappings(&held, old, pages, stays_open, pager)
                    .inspect_err(|_| self.restore_mappings(&held, old, pager))
            });
            self.settle_open(&held);
            done?;
            if dense {
                self.forget_history(&held);
            }
        }
        self.accessible.store(pages, Ordering::Release);
        Ok(())
    }

    /// Empties `old` and maps the first `pages` pages as fresh ones; no image is there.
    fn reset_mappings(
        &self,
        held: &LockGuard<'_>,
        old: PageRange,
        pages: usize,
        stays_open: impl Fn(Attrs) -> bool,
        pager: &dyn Pager,
    ) -> Result<()> {
        let [kept, cut, added] = reset_parts(old, pages);
        self.unmap_page_range(held, old, Unmap::Zap, pager)?;
        self.close(held, cut, |_| true, pager)?;
        self.close(held, kept, |attrs| !stays_open(attrs), pager)?;
        self.lift_protections(held, if pager.faults() { old } else { kept }, pager)?;
        if pager.faults() { Ok(()) } else { self.open_growth(added, pager) }
    }

    /// Closes the VMAs of `range` that are open and `closes` says; no image is in it.
    pub(super) fn close(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        closes: impl Fn(Attrs) -> bool,
        pager: &dyn Pager,
    ) -> Result<()> {
        let base = self.geometry().base;
        for extent in self.extents(held, range) {
            if extent.attrs.is_open() && closes(extent.attrs) {
                pager
                    .close(base + extent.range.start * PAGE, extent.range.len() * PAGE)
                    .inspect_err(|_| self.doubtful.store(true, Ordering::Relaxed))?;
            }
        }
        Ok(())
    }

    /// Makes the system allow loads and stores in the parts of `range` where the VMAs do not, except what was just closed.
    fn lift_protections(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        pager: &dyn Pager,
    ) -> Result<()> {
        if self.any(held, range, |attrs| attrs.allowed() != Protection::ReadWrite) {
            for (run, open) in self.runs(held, range) {
                if !open || !pager.faults() {
                    self.make_protection_true(held, run, Protection::ReadWrite, pager)?;
                }
            }
        }
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
        let paging = self.paging_of_image(&held, range, pager);
        let to_image = |attrs| Attrs { backing: Backing::Image { delta }, paging, ..attrs };
        if paging == Paging::Faults {
            let attached = self.adjust(
                &held,
                pool,
                range,
                |old| plan::change(old, range, to_image),
                || {
                    self.close_before_image(&held, range, pager)?;
                    self.unmap_at_once(range, Unmap::Attach(image), pager)
                },
            );
            self.settle_open(&held);
            return attached;
        }
        // One VMA after the other: a mapping replaces another at once or not at all, so after a failure each VMA says
        // what is true.
        let pieces: Extents = self.extents(&held, range).collect();
        let attached = pieces.iter().try_for_each(|&Extent { range: piece, attrs }| {
            let offset = image.offset + (piece.start - range.start) * PAGE;
            let part = ImagePart { offset, ..image };
            self.adjust(
                &held,
                pool,
                piece,
                |old| plan::change(old, piece, to_image),
                || self.map_image(piece, part, attrs.allowed(), pager),
            )
        });
        self.settle_open(&held);
        attached
    }

    /// Closes what is open in `range`, whatever it holds. What it allows stays.
    fn close_before_image(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        pager: &dyn Pager,
    ) -> Result<()> {
        if !self.any(held, range, Attrs::is_open) {
            return Ok(());
        }
        // Images first: they cannot be closed.
        self.unmap_page_range(held, range, Unmap::Replace, pager)?;
        self.close(held, range, |_| true, pager)?;
        self.each_piece(held, range, |addr, len, attrs| match attrs {
            Attrs { protection: Some(Protection::ReadWrite), .. } => Ok(()),
            _ => pager.protect(addr, len, attrs.allowed()).map(drop),
        })
        .inspect_err(|_| self.doubtful.store(true, Ordering::Relaxed))?;
        Ok(())
    }

    /// Who brings the pages of an image in `range`: the kernel, if it may, and if at least half of the budget stays free.
    /// If it does, they are charged.
    fn paging_of_image(&self, held: &LockGuard<'_>, range: PageRange, pager: &dyn Pager) -> Paging {
        let added = self.closed_pages(held, range);
        let fits = || {
            let far = |budget: &Budget| budget.room().saturating_sub(added) >= budget.limit() / 2;
            self.budget().is_none_or(far) && self.reserve_open(held, added)
        };
        match !pager.faults() || (self.policy().opens() && fits()) {
            true => Paging::Kernel,
            false => Paging::Faults,
        }
    }

    /// Maps an image for the kernel to page; the caller is in a write section of the bounds.
    fn map_image(
        &self,
        range: PageRange,
        image: ImagePart,
        to: Protection,
        pager: &dyn Pager,
    ) -> Result<()> {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Err(Error::OutOfRange) };
        Self::settle(map, range);
        let (addr, len) = (geometry.base + range.start * PAGE, range.len() * PAGE);
        pager.system().map_image(addr, len, image, to)?;
        self.uncharge(map.set_absent(range));
        // What was open before has lost its pages, and stays charged.
        self.budget().inspect(|budget| budget.may_be_too_much(range.len()));
        Ok(())
    }

    /// Whether a VMA in `range` has attributes that match `like`.
    pub(super) fn any(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        like: impl Fn(Attrs) -> bool,
    ) -> bool {
        self.table
            .held(held)
            .iter()
            .map(|vma| vma.extent())
            .any(|extent| !extent.range.intersect(range).is_empty() && like(extent.attrs))
    }
}

/// What of the accessible part `old` stays in a reset to `pages` pages, what does not, and what is added.
fn reset_parts(old: PageRange, pages: usize) -> [PageRange; 3] {
    let kept = PageRange::new(0, old.end.min(pages));
    [kept, PageRange::new(kept.end, old.end), PageRange::new(old.end, old.end.max(pages))]
}

/// Whether an open VMA stays open in a reset. Where faults can give back rights, they do so.
fn stays_open(attrs: Attrs, pager: &dyn Pager) -> bool {
    attrs.is_open() && (attrs.allowed() == Protection::ReadWrite || !pager.faults())
}
