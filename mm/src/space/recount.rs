//! `recount`: near the budget, a space is charged for what it holds and no longer for what it might.
//!
//! Open VMAs are taken back from the kernel: nobody can touch a page that is not there any more without a fault, and then the
//! kernel's page tables tell which pages hold contents. These keep them. Where pages are made accessible before they are
//! touched, those that were not touched become absent again. Afterwards the charge is exact, until windows are opened
//! again.
//!
//! Where access is given by mappings (`Protect`), each run of pages between others that hold nothing becomes a mapping of its own, when
//! it is touched again. The system has a limit for these, so there is one for the runs that recounts may leave.
//!
//! A space that waits for its next user gives back what it keeps. It has no contents of its own then, so this is seen by
//! nobody.
//!
//! All of this runs in signal handlers. It takes the space's writer lock, and needs no memory.

use super::pagemap::PageMap;
use super::primitive::{Level, LockGuard, Ordering};
use super::types::{Attrs, Backing, Extent, PAGE, PageRange, Paging};
use super::unmap::Unmap;
use super::{Space, plan};
use crate::Protection;
use crate::error::Result;
use crate::pager::{Mapped, Pager};

impl Space {
    /// Whether the space waits for its next user: everything in it has its first contents then. Returns whether it can
    /// be used: not if the system has refused something meanwhile.
    pub(crate) fn set_idle(&self, idle: bool) -> bool {
        let _held = self.lock.lock();
        self.idle.store(idle, Ordering::Relaxed);
        !self.doubtful.load(Ordering::Relaxed)
    }

    /// Gives back what the space keeps for its next user, if it waits for one.
    pub(crate) fn empty_if_idle(&self, pager: &dyn Pager) {
        if !self.idle.load(Ordering::Relaxed) || self.charge_of_all() == 0 {
            return;
        }
        let held = self.lock.lock();
        // Its user may have come meanwhile, or it may have gone.
        if !self.idle.load(Ordering::Relaxed) || self.budget().is_none() {
            return;
        }
        let all = PageRange::new(0, self.accessible.load(Ordering::Relaxed));
        // What the system refuses to take stays charged.
        let _ = self.unmap_page_range(&held, all, Unmap::Zap, pager);
        // It holds nothing.
        let mut runs = usize::MAX;
        self.recount_held(&held, pager, &mut runs);
    }

    /// Makes the charge what the space holds, if that is in no more than `runs` runs of pages, where they cost mappings; takes
    /// these off. Returns how many pages stay charged that are not resident.
    pub(crate) fn recount(&self, pager: &dyn Pager, runs: &mut usize) -> usize {
        if self.charge_of_all() == 0 {
            return 0;
        }
        let held = self.lock.lock();
        if self.budget().is_some() { self.recount_held(&held, pager, runs) } else { 0 }
    }

    fn recount_held(&self, held: &LockGuard<'_>, pager: &dyn Pager, runs: &mut usize) -> usize {
        let Some(map) = self.geometry().map() else { return 0 };
        // Otherwise the embedder has said that pages that were brought are to stay, or the system may not be as the space
        // says.
        let may_change = self.policy().opens() && !self.doubtful.load(Ordering::Relaxed);
        let (mut page, mut unproven) = (0, 0);
        while let Some(vma) = self.table.held(held).at(page) {
            let Extent { range, attrs } = vma.extent();
            if !range.contains(page) || attrs.protection.is_none() {
                break;
            }
            // It may begin before, with what was just closed.
            let extent = Extent { range: PageRange::new(page, range.end), attrs };
            page = range.end;
            let exact = match attrs.paging {
                // What cannot be taken back now stays open and charged.
                Paging::Kernel => {
                    may_change && self.take_back_within(held, map, extent, pager, runs)
                }
                Paging::Faults if pager.brings_pages() => true,
                Paging::Faults => may_change && self.count_closed(map, extent, pager, runs),
            };
            if !exact {
                unproven += self.count_unproven(map, extent, pager);
            }
        }
        self.settle_open(held);
        unproven
    }

    /// Pages of a VMA that are charged and seem not to be resident.
    fn count_unproven(
        &self,
        map: &PageMap,
        Extent { range, attrs }: Extent,
        pager: &dyn Pager,
    ) -> usize {
        let charged = if attrs.is_open() { range.len() } else { map.count_resident(range) };
        if charged == 0 {
            return 0;
        }
        let base = self.geometry().base;
        let image = attrs.backing != Backing::Zero;
        let runs = range.stripes().flat_map(|stripe| contents(stripe, image, base, pager));
        charged.saturating_sub(runs.map(PageRange::len).sum())
    }

    /// Closes an open VMA, if that leaves no more than so many runs of pages. Whether it did.
    fn take_back_within(
        &self,
        held: &LockGuard<'_>,
        map: &PageMap,
        extent: Extent,
        pager: &dyn Pager,
        runs: &mut usize,
    ) -> bool {
        let image = extent.attrs.backing != Backing::Zero;
        let idle = self.idle.load(Ordering::Relaxed);
        if pager.brings_pages() {
            // The pages of an image cannot be told from copies of them that were written.
            return (idle || !image) && self.take_back_open(held, map, extent, pager).is_ok();
        }
        let more = self.count_runs(extent, pager);
        if more > *runs || self.take_back_open(held, map, extent, pager).is_err() {
            return false;
        }
        *runs -= more;
        true
    }

    /// Closes an open VMA. Pages keep their contents.
    fn take_back_open(
        &self,
        held: &LockGuard<'_>,
        map: &PageMap,
        Extent { range, attrs }: Extent,
        pager: &dyn Pager,
    ) -> Result<()> {
        let image = attrs.backing != Backing::Zero;
        let base = self.geometry().base;
        let (addr, len) = (base + range.start * PAGE, range.len() * PAGE);
        let close = |attrs| Attrs { paging: Paging::Faults, ..attrs };
        self.adjust(
            held,
            &self.spares.held(held),
            range,
            |old| plan::change(old, range, close),
            || {
                Self::settle(map, range);
                if image && pager.brings_pages() {
                    // Nobody has written to it. From now on its pages come with each commit.
                    pager.system().map_zero(addr, len, attrs.allowed())?;
                }
                let mapped = pager.take_back(addr, len);
                let mapped = mapped.inspect_err(|_| self.doubtful.store(true, Ordering::Relaxed));
                let mapped = mapped.inspect_err(|_| self.restore_mappings(held, range, pager))?;
                self.ask_for_small_pages(held, range, pager);
                if self.policy().gets_huge_pages_unasked() {
                    // Nor is the kernel to make huge pages of small ones by itself.
                    pager.system().advise_huge(addr, len, false);
                }
                self.find_contents(map, range, image, base, pager);
                if mapped == Mapped::NotAtAll {
                    map.park(range);
                }
                Ok(())
            },
        )
    }

    /// Makes those pages of `range` present that hold contents; the caller is in a write section of its bounds. All are
    /// absent.
    fn find_contents(
        &self,
        map: &PageMap,
        range: PageRange,
        image: bool,
        base: usize,
        pager: &dyn Pager,
    ) {
        for stripe in range.stripes() {
            for run in contents(stripe, image, base, pager) {
                let mut page = run.start;
                // Nobody else claims pages of an open VMA, except for a moment.
                while page < run.end {
                    match map.claim(page, run) {
                        Ok(claim) => {
                            page = claim.range().end;
                            self.found(claim.range().len());
                            claim.publish_all();
                        }
                        Err(_) => map.wait_for_claims(PageRange::new(page, page + 1)),
                    }
                }
            }
        }
    }

    /// Charges pages that are there. They are paid for: what was open is taken off the charge afterwards.
    fn found(&self, pages: usize) {
        self.resident.fetch_add(pages, Ordering::Relaxed);
        self.open.fetch_sub(pages, Ordering::Relaxed);
    }

    /// How many runs of pages with contents there seem to be in an open VMA, which others may touch.
    fn count_runs(&self, Extent { range, attrs }: Extent, pager: &dyn Pager) -> usize {
        let base = self.geometry().base;
        let image = attrs.backing != Backing::Zero;
        range.stripes().map(|stripe| contents(stripe, image, base, pager).count()).sum()
    }

    /// Makes those present pages of a closed VMA absent that hold nothing, unless no runs of pages are left; takes off those of
    /// the others. Whether it did.
    fn count_closed(
        &self,
        map: &PageMap,
        Extent { range, attrs }: Extent,
        pager: &dyn Pager,
        runs: &mut usize,
    ) -> bool {
        if *runs == 0 {
            return false;
        }
        let geometry = self.geometry();
        let image = attrs.backing != Backing::Zero;
        for stripe in range.stripes() {
            let count = self.shards.of(stripe.start, geometry.mask);
            let _section = count.write_begin(Level::Pages);
            Self::settle(map, stripe);
            let part = map.resident_hull(stripe);
            if part.is_empty() {
                continue;
            }
            let (addr, len) = (geometry.base + part.start * PAGE, part.len() * PAGE);
            // Nobody can touch them from now on, so those that hold nothing stay so.
            map.park(part);
            if pager.system().protect(addr, len, Protection::NoAccess).is_err() {
                self.doubtful.store(true, Ordering::Relaxed);
                return false;
            }
            let mut rest = part.start;
            for run in contents(part, image, geometry.base, pager) {
                self.uncharge(map.set_absent(PageRange::new(rest, run.start)));
                rest = run.end;
                *runs = runs.saturating_sub(1);
            }
            self.uncharge(map.set_absent(PageRange::new(rest, part.end)));
        }
        true
    }
}

/// The runs of pages of `range`, which crosses no stripe, that hold contents; all of it if the kernel does not tell.
fn contents(
    range: PageRange,
    image: bool,
    base: usize,
    pager: &dyn Pager,
) -> impl Iterator<Item = PageRange> {
    let told = pager.system().contents(base + range.start * PAGE, range.len() * PAGE, image);
    let mut page = range.start;
    std::iter::from_fn(move || {
        let holds = |page: usize| {
            let at = page - range.start;
            told.is_none_or(|bits| bits[at / 64] >> (at % 64) & 1 != 0)
        };
        let start = (page..range.end).find(|&page| holds(page))?;
        page = (start..range.end).find(|&page| !holds(page)).unwrap_or(range.end);
        Some(PageRange::new(start, page))
    })
}
