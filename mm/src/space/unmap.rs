//! `unmap_page_range`: making pages absent. Closed VMAs piece by piece, under the `pages` counts; open VMAs have no
//! page states, so no count covers them.

use super::Space;
use super::pagemap::PageMap;
use super::primitive::{self, Fence, Level, LockGuard, Ordering};
use super::types::{Backing, PAGE, PageRange};
use crate::error::Result;
use crate::pager::Pager;
use crate::sys::{self, ImagePart};

/// What an unmap does to the system's mappings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unmap {
    /// Drops the contents; pages come back as their backing says.
    Zap,
    /// Replaces the mappings by new zero pages: the backing is about to become `Zero`.
    Replace,
    /// Replaces the mappings of a closed range by those of an image; the part begins with the byte for the start of the
    /// range.
    Attach(ImagePart),
}

impl Space {
    /// A writer's fence between marking its counts and looking for claims.
    ///
    /// Pairs with the fence in step 8 of a fault: either that fault sees our odd counts, or we see its claim.
    pub(crate) fn mark_then_look() {
        primitive::fence(Fence::MarkThenLook, Ordering::SeqCst);
    }

    /// Waits until no fault is about to change a page of `range`, whose counts the caller has marked: claims that passed
    /// their re-check before are done, later ones fail it.
    pub(super) fn settle(map: &PageMap, range: PageRange) {
        Self::mark_then_look();
        map.wait_for_claims(range);
    }

    /// Makes all pages of `range` absent, each closed stripe in a write section of its own.
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
        for (run, open) in self.runs(held, range) {
            if open {
                self.unmap_open(held, run, how, pager)?;
                continue;
            }
            let mut dropped = 0;
            for piece in run.stripes() {
                let count = self.shards.of(piece.start, geometry.mask);
                let section = count.write_begin(Level::Pages);
                dropped += self.unmap_closed(map, geometry.base, piece, how, pager)?;
                drop(section);
                if dropped >= sys::PIECE / PAGE {
                    pager.system().give_way();
                    dropped = 0;
                }
            }
        }
        Ok(())
    }

    /// Like `unmap_page_range`, for a closed range, but in one piece with one system call: all of it or nothing.
    pub(super) fn unmap_at_once(
        &self,
        range: PageRange,
        how: Unmap,
        pager: &dyn Pager,
    ) -> Result<()> {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return Ok(()) };
        self.shards.all().for_each(|count| count.raw_write_begin());
        let result = self.unmap_closed(map, geometry.base, range, how, pager);
        self.shards.all().for_each(|count| count.raw_write_end());
        result.map(drop)
    }

    /// Returns how many pages were present.
    fn unmap_closed(
        &self,
        map: &PageMap,
        base: usize,
        piece: PageRange,
        how: Unmap,
        pager: &dyn Pager,
    ) -> Result<usize> {
        Self::settle(map, piece);
        let whole = !matches!(how, Unmap::Zap) || self.doubtful.load(Ordering::Relaxed);
        let part = if whole { piece } else { map.resident_hull(piece) };
        if part.is_empty() {
            return Ok(0);
        }
        let (addr, len) = (base + part.start * PAGE, part.len() * PAGE);
        let result = match how {
            Unmap::Zap => pager.zap(addr, len),
            Unmap::Replace => pager.replace(addr, len),
            Unmap::Attach(image) => pager.attach_image(addr, len, image),
        };
        match result {
            Ok(()) => {
                let dropped = map.set_absent(part);
                self.uncharge(dropped);
                Ok(dropped)
            }
            Err(error) => {
                // Contents may still be there, mappings may be gone: faults will map the pages again.
                self.doubtful.store(true, Ordering::Relaxed);
                map.park(part);
                Err(error.into())
            }
        }
    }

    /// Drops the contents of an open range, which stays open.
    fn unmap_open(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        how: Unmap,
        pager: &dyn Pager,
    ) -> Result<()> {
        let sys = pager.system();
        // An image whose mapping was refused may be there nevertheless.
        let doubtful = self.doubtful.load(Ordering::Relaxed);
        let done = if matches!(how, Unmap::Zap) && !doubtful {
            sys.zap(self.geometry().base + range.start * PAGE, range.len() * PAGE)
        } else {
            self.each_piece(held, range, |addr, len, attrs| {
                if matches!(how, Unmap::Zap) && attrs.backing != Backing::Zero {
                    sys.zap(addr, len)
                } else {
                    sys.map_zero(addr, len, attrs.allowed())
                }
            })
        };
        self.ask_for_small_pages(held, range, pager);
        // It stays charged.
        self.budget().inspect(|budget| budget.may_be_too_much(range.len()));
        done.map_err(|error| {
            self.doubtful.store(true, Ordering::Relaxed);
            error.into()
        })
    }
}
