//! `rewind`: a space as it was before it was used, for its next user. What was touched is what it costs.
//!
//! Pages that hold contents get their first contents back where they are and stay, up to a bound; the others are given
//! back to the system. Which pages may have changed is told by the page states where the pager brings pages itself, and
//! by the kernel's page tables where the kernel does. Now and then, those do not stay of
//! which the last user has changed nothing: so what stays is what users write again and again.

use smallvec::SmallVec;

use super::pagemap::PageMap;
use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, Backing, Extent, GRANULE_PAGES, PAGE, PageRange, Paging};
use super::unmap::Unmap;
use super::{Pool, Space, plan};
use crate::Protection;
use crate::error::Result;
use crate::pager::Pager;
use crate::sys::{ImagePart, Run};

/// What a rewind brings back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pristine {
    /// Pages of the accessible part.
    accessible: usize,
    /// The extents of that part.
    extents: SmallVec<[Extent; 1]>,
    /// The images in it, in the order in which they were attached: where, which, and the distance to its view.
    images: Vec<(PageRange, ImagePart, usize)>,
}

impl Pristine {
    /// Pages that are accessible.
    pub(crate) fn accessible(&self) -> usize {
        self.accessible
    }

    /// Whether the part of `extent` that is inside has the attributes that it had; who brings the pages does not matter.
    fn agrees(&self, extent: &Extent) -> bool {
        self.extents.iter().all(|was| {
            was.range.intersect(extent.range).is_empty()
                || Attrs { paging: extent.attrs.paging, ..was.attrs } == extent.attrs
        })
    }
}

/// The pages of a rewind: those that stay, and a range that goes.
struct Sorting<'a> {
    space: &'a Space,
    held: &'a LockGuard<'a>,
    pager: &'a dyn Pager,
    /// How many pages may still be kept.
    room: usize,
    /// Whether pages that hold their first contents already go.
    sheds: bool,
    kept: usize,
    /// Pages that are still to be dropped, with others between them that hold nothing.
    going: PageRange,
}

impl Space {
    /// What the space is now, as a rewind's aim. Nothing has been written yet, `images` are all that was attached.
    pub(crate) fn pristine(&self, images: Vec<(PageRange, ImagePart, usize)>) -> Pristine {
        let held = self.lock.lock();
        let accessible = self.accessible.load(Ordering::Relaxed);
        let extents = self.extents(&held, PageRange::new(0, accessible)).collect();
        Pristine { accessible, extents, images }
    }

    /// Brings back `pristine`, with at most `keep` pages in memory; returns with how many. `sheds` says whether pages that
    /// hold their first contents already are given back. Nobody else uses the space.
    ///
    /// After a failure the space is fit for nothing but to be destroyed.
    pub(crate) fn rewind(
        &self,
        pristine: &Pristine,
        keep: usize,
        sheds: bool,
        pool: &Pool,
        pager: &dyn Pager,
    ) -> Result<usize> {
        if let Some(kept) = self.rewind_in_place(pristine, keep, sheds, pool, pager)? {
            return Ok(kept);
        }
        self.reset(pristine.accessible, pool, pager)?;
        for &(range, image, delta) in &pristine.images {
            self.attach_image(range, image, delta, pool, pager)?;
        }
        for &Extent { range, attrs } in &pristine.extents {
            if attrs.allowed() != Protection::ReadWrite {
                self.protect(range, attrs.allowed(), pool, pager)?;
            }
        }
        Ok(0)
    }

    /// A rewind of a space whose layout has not changed but for growth and openings; `None` if it has.
    fn rewind_in_place(
        &self,
        pristine: &Pristine,
        keep: usize,
        sheds: bool,
        pool: &Pool,
        pager: &dyn Pager,
    ) -> Result<Option<usize>> {
        let held = self.lock.lock();
        let first = PageRange::new(0, pristine.accessible);
        let grown = PageRange::new(first.end, self.accessible.load(Ordering::Relaxed));
        let plain = |attrs: Attrs| Attrs { paging: Paging::Faults, ..attrs } == Attrs::FRESH;
        if self.doubtful.load(Ordering::Relaxed)
            || grown.end < first.end
            // A dense use may be followed by a sparse one.
            || self.asks_for_huge_pages(&held)
            || self.any(&held, grown, |attrs| !plain(attrs))
            || !self.extents(&held, first).all(|extent| pristine.agrees(&extent))
        {
            return Ok(None);
        }
        self.cut(&held, grown, pool, pager)?;
        // What the last user's sequence has proven, the next one has not.
        self.lanes.iter().for_each(|lane| lane.pattern.owes_nothing());
        self.growths.store(0, Ordering::Relaxed);
        let room = if self.limit.load(Ordering::Relaxed) == usize::MAX { keep } else { 0 };
        let going = PageRange::default();
        let mut sorting = Sorting { space: self, held: &held, pager, room, sheds, kept: 0, going };
        let extents: plan::Extents = self.extents(&held, first).collect();
        extents.iter().try_for_each(|extent| sorting.sort(extent))?;
        sorting.drop_going()?;
        Ok(Some(sorting.kept))
    }

    /// Makes `grown`, the last pages of the accessible part, inaccessible again.
    fn cut(
        &self,
        held: &LockGuard<'_>,
        grown: PageRange,
        pool: &Pool,
        pager: &dyn Pager,
    ) -> Result<()> {
        if grown.is_empty() {
            return Ok(());
        }
        let cut = self.adjust(
            held,
            pool,
            grown,
            |old| plan::change(old, grown, |_| Attrs::RESERVED),
            || {
                self.unmap_page_range(held, grown, Unmap::Zap, pager)?;
                self.close(held, grown, |_| true, pager)
            },
        );
        self.settle_open(held);
        cut?;
        self.accessible.store(grown.start, Ordering::Release);
        Ok(())
    }
}

impl Sorting<'_> {
    fn sort(&mut self, extent: &Extent) -> Result<()> {
        let geometry = self.space.geometry();
        let Some(map) = geometry.map() else { return Ok(()) };
        match extent.attrs {
            Attrs { protection: Some(Protection::ReadWrite), paging: Paging::Faults, .. }
                if self.states_suffice(map, extent.range) =>
            {
                self.sort_by_states(extent, map, geometry.base)
            }
            Attrs { protection: Some(Protection::ReadWrite), .. } => {
                self.sort_by_page_tables(extent, map, geometry.base)
            }
            _ => {
                self.drop_later(extent.range);
                Ok(())
            }
        }
    }

    /// Whether the page states tell what may have changed. Where the kernel brings the pages of a window, it tells better
    /// which of them, but to look at a few pages takes less time than to ask.
    fn states_suffice(&self, map: &PageMap, range: PageRange) -> bool {
        const FEW: usize = 2 * GRANULE_PAGES;
        self.pager.brings_pages()
            || (!self.pager.commits_at_grow() && map.count_resident(range) <= FEW)
    }

    fn sort_by_states(&mut self, extent: &Extent, map: &PageMap, base: usize) -> Result<()> {
        for contents in map.contents(extent.range) {
            if self.room == 0 {
                self.drop_later(PageRange::new(contents.hull().start, extent.range.end));
                break;
            }
            // A parked page may be mapped more strictly than its VMA allows, so it cannot be restored.
            if contents.is_mapped() && self.restore(extent, contents.runs(), base) {
                self.keep(contents.count())?;
            } else {
                self.drop_later(contents.hull());
            }
        }
        Ok(())
    }

    fn sort_by_page_tables(&mut self, extent: &Extent, map: &PageMap, base: usize) -> Result<()> {
        let is_mapped = |piece| extent.attrs.is_open() || map.are_present(piece);
        let mut runs = [Run::default(); 32];
        let mut at = extent.range.start;
        while at < extent.range.end {
            let rest = PageRange::new(at, extent.range.end);
            let (addr, len) = (base + rest.start * PAGE, rest.len() * PAGE);
            let private = extent.attrs.backing != Backing::Zero;
            let walked = match self.room {
                0 => None,
                room => self.pager.system().changed(addr, len, private, room, &mut runs),
            };
            let Some((found, end)) = walked else {
                self.drop_later(rest);
                break;
            };
            for run in &runs[..found] {
                let run = PageRange::new((run.start - base) / PAGE, (run.end - base) / PAGE);
                for piece in granules(run) {
                    let may_stay = self.room > 0 && is_mapped(piece);
                    if may_stay && self.restore(extent, std::iter::once(piece), base) {
                        self.keep(piece.len())?;
                    } else {
                        self.drop_later(piece);
                    }
                }
            }
            at = (end - base) / PAGE;
        }
        Ok(())
    }

    /// Gives pages back what they held at first. Returns whether they stay.
    ///
    /// This is the only access to guest memory under the writer lock, and in no write section. It raises no signal, whose
    /// handler might ask for the lock: the pages are mapped as their VMAs say, and nobody else uses the space.
    fn restore(&self, extent: &Extent, runs: impl Iterator<Item = PageRange>, base: usize) -> bool {
        let mut stay = !self.sheds;
        for run in runs {
            let addr = base + run.start * PAGE;
            let source = match extent.attrs.backing {
                Backing::Zero => None,
                Backing::Image { delta } => Some(addr.wrapping_add(delta)),
            };
            stay |= self.pager.system().restore(addr, run.len() * PAGE, source);
        }
        stay
    }

    fn keep(&mut self, pages: usize) -> Result<()> {
        self.room = self.room.saturating_sub(pages);
        self.kept += pages;
        self.drop_going()
    }

    /// Drops `range`, which is behind all that was sorted, with the next ones.
    fn drop_later(&mut self, range: PageRange) {
        if self.going.is_empty() {
            self.going = range;
        } else {
            self.going.end = range.end;
        }
    }

    fn drop_going(&mut self) -> Result<()> {
        let going = std::mem::take(&mut self.going);
        if going.is_empty() {
            return Ok(());
        }
        self.space.unmap_page_range(self.held, going, Unmap::Zap, self.pager)
    }
}

/// Splits a range into pieces, none of which crosses a granule.
fn granules(range: PageRange) -> impl Iterator<Item = PageRange> {
    let first = range.start / GRANULE_PAGES;
    (first..range.end.div_ceil(GRANULE_PAGES)).map(move |granule| {
        let start = granule * GRANULE_PAGES;
        range.intersect(PageRange::new(start, start + GRANULE_PAGES))
    })
}
