//! `unmap_page_range`: making pages absent, piece by piece, under the `pages` counts.

use super::Space;
use super::pagemap::PageMap;
use super::primitive::{self, Fence, Level, LockGuard, Ordering};
use super::types::{PAGE, PageRange};
use crate::Protection;
use crate::error::Result;
use crate::pager::Pager;
use crate::sys::ImagePart;

/// What an unmap does to the system's mappings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unmap {
    /// Drops the contents; pages come back as their backing says.
    Zap,
    /// Replaces the mappings by new zero pages: the backing is about to become `Zero`.
    Replace,
    /// Replaces the mappings by those of an image; the part begins with the byte for the start of the range.
    Attach(ImagePart),
}

impl Space {
    /// A writer's fence between marking its counts and looking for claims.
    ///
    /// Pairs with the fence in step 8 of a fault: either that fault sees our odd counts, or we see its claim.
    pub(crate) fn mark_then_look() {
        primitive::fence(Fence::MarkThenLook, Ordering::SeqCst);
    }

    /// Makes all pages of `range` absent, each stripe in a write section of its own.
    ///
    /// On failure, pages of the stripes that are done are absent, and the others keep their contents.
    pub(super) fn unmap_page_range(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        how: Unmap,
        pager: &dyn Pager,
    ) -> Result<()> {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Ok(()) };
        for piece in range.stripes() {
            let count = self.shards.of(piece.start, geometry.mask);
            let _section = count.write_begin(Level::Pages);
            self.unmap_piece(held, map, geometry.base, piece, how, pager)?;
        }
        Ok(())
    }

    /// Like `unmap_page_range`, but in one piece with one system call: all of it or nothing.
    pub(super) fn unmap_at_once(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        how: Unmap,
        pager: &dyn Pager,
    ) -> Result<()> {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Ok(()) };
        self.shards.all().for_each(|count| count.raw_write_begin());
        let result = self.unmap_piece(held, map, geometry.base, range, how, pager);
        self.shards.all().for_each(|count| count.raw_write_end());
        result
    }

    fn unmap_piece(
        &self,
        held: &LockGuard<'_>,
        map: &PageMap,
        base: usize,
        piece: PageRange,
        how: Unmap,
        pager: &dyn Pager,
    ) -> Result<()> {
        Self::mark_then_look();
        map.wait_for_claims(piece);
        let doubtful = self.doubtful.load(Ordering::Relaxed);
        let whole = !matches!(how, Unmap::Zap) || doubtful || !pager.faults();
        let part = if whole { piece } else { map.resident_hull(piece) };
        if part.is_empty() {
            return Ok(());
        }
        let (addr, len) = (base + part.start * PAGE, part.len() * PAGE);
        let result = match how {
            // An image that could not be attached may still be mapped where the VMA has none.
            Unmap::Zap if doubtful && !pager.faults() => {
                self.each_piece(held, part, |addr, len, to| pager.replace(addr, len, to))
            }
            Unmap::Zap => pager.zap(addr, len),
            Unmap::Replace if pager.faults() => pager.replace(addr, len, Protection::NoAccess),
            Unmap::Attach(image) if pager.faults() => {
                pager.attach_image(addr, len, image, Protection::NoAccess)
            }
            Unmap::Replace => {
                self.each_piece(held, part, |addr, len, to| pager.replace(addr, len, to))
            }
            Unmap::Attach(image) => self.each_piece(held, part, |at, len, to| {
                let image = ImagePart { offset: image.offset + (at - addr), ..image };
                pager.attach_image(at, len, image, to)
            }),
        };
        match result {
            Ok(()) => {
                self.uncharge(map.set_absent(part));
                Ok(())
            }
            Err(error) => {
                // Contents may still be there, mappings may be gone: faults will map the pages again.
                self.doubtful.store(true, Ordering::Relaxed);
                map.park(part);
                Err(error.into())
            }
        }
    }
}
