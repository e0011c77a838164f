//! Open VMAs: the kernel brings their pages when they are touched, at its own cost and without a signal.
//!
//! A fault opens a window when bringing pages itself would be a loss (see [`policy`](super::policy)). With a pager that
//! never faults everything is open from the grow on. Being open is an attribute of a VMA: it costs the same for any
//! number of pages, the `bounds` count covers it, and neighbours merge.
//!
//! An open VMA has no page states, since pages come without a word. Writers do not leave its mappings to faults, but
//! change them at once, and restore them when something fails half-way.

use super::pagemap::PageMap;
use super::primitive::{LockGuard, Ordering};
use super::types::{Attrs, Backing, Extent, PAGE, PageRange, Paging};
use super::{Outcome, Reading, Space, plan};
use crate::error::Result;
use crate::pager::Pager;
use crate::sys::SysError;
use crate::{Access, FaultKind, Protection};

impl Attrs {
    /// Fresh accessible memory as a grow makes it.
    pub(super) fn fresh(pager: &dyn Pager) -> Self {
        let paging = if pager.faults() { Paging::Faults } else { Paging::Kernel };
        Self { paging, ..Self::FRESH }
    }
}

impl Space {
    /// Whether a fault at `page`, in a VMA with these attributes, may open its window: nobody has brought the page or is
    /// about to, and the range is mapped as its VMA says. A closed image is not, where its contents come with each
    /// commit.
    pub(super) fn may_open(
        &self,
        page: usize,
        attrs: Attrs,
        map: &PageMap,
        pager: &dyn Pager,
    ) -> bool {
        let is_mapped = attrs.backing == Backing::Zero || !pager.brings_pages();
        is_mapped && map.lost(page).is_none() && !self.doubtful.load(Ordering::Relaxed)
    }

    /// Leaves `window`, which is inside one closed VMA, to the kernel. Pages that are present keep their contents.
    ///
    /// Async-signal-safe: what it needs is there, or the window stays closed. The caller has
    /// [charged](Self::reserve_open) it.
    pub(super) fn open(
        &self,
        held: &LockGuard<'_>,
        map: &PageMap,
        window: PageRange,
        pager: &dyn Pager,
    ) -> Result<()> {
        let opened = self.adjust(
            held,
            &self.spares.held(held),
            window,
            |old| plan::change(old, window, |attrs| Attrs { paging: Paging::Kernel, ..attrs }),
            || {
                Self::settle(map, window);
                self.each_piece(held, window, |addr, len, attrs| {
                    pager.open(addr, len, attrs.allowed())
                })
                .inspect_err(|_| self.doubtful.store(true, Ordering::Relaxed))?;
                self.uncharge(map.set_absent(window));
                Ok(())
            },
        );
        opened.inspect_err(|_| self.settle_open(held))?;
        self.openings.fetch_add(1, Ordering::Relaxed);
        self.opened_within.store(self.accessible(), Ordering::Relaxed);
        self.lane().counters.opened();
        Ok(())
    }

    /// A fault in an open VMA that allows the access.
    pub(super) fn handle_open_fault(
        &self,
        page: usize,
        extent: &Extent,
        pager: &dyn Pager,
    ) -> std::result::Result<Outcome, FaultKind> {
        if !self.may_be_wrong(pager) {
            self.lane().counters.claim_lost();
            return Ok(Outcome::Present);
        }
        let addr = self.geometry().base + page * PAGE;
        match map_open(addr, PAGE, extent.attrs, pager) {
            Ok(()) => Ok(Outcome::Resolved),
            Err(_) => Err(FaultKind::OutOfMemory),
        }
    }

    /// Whether the VMAs allow `access` to all of `range`. Takes the lock only if something changes meanwhile.
    pub(crate) fn admits(
        &self,
        range: PageRange,
        access: Access,
        reading: &Reading<'_>,
    ) -> std::result::Result<(), (FaultKind, usize)> {
        if cfg!(feature = "speculation") && self.admits_for_sure(range, access, reading, |_| true) {
            return Ok(());
        }
        let held = self.lock.lock();
        self.check_access(&held, range, access)
    }

    /// Whether `access` is allowed to all of `range`, and all extents in it are as wanted, found without the lock. "No"
    /// means "ask again under the lock".
    pub(super) fn admits_for_sure(
        &self,
        range: PageRange,
        access: Access,
        reading: &Reading<'_>,
        wanted: impl Fn(Extent) -> bool,
    ) -> bool {
        let mut page = range.start;
        while page < range.end {
            let Ok((vma, bounds, extent)) = self.find_vma(page, reading) else { return false };
            let fits = wanted(Extent { range: extent.range.intersect(range), ..extent });
            if !fits || extent.denies(access).is_some() || vma.bounds.retry(bounds) {
                return false;
            }
            page = extent.range.end;
        }
        true
    }

    /// The VMAs' parts in `range`.
    pub(super) fn extents<'a>(
        &'a self,
        held: &'a LockGuard<'_>,
        range: PageRange,
    ) -> impl Iterator<Item = Extent> + 'a {
        let table = self.table.held(held);
        let mut index = table.find(range.start).unwrap_or(0);
        std::iter::from_fn(move || {
            let extent = table.get(index)?.extent();
            index += 1;
            Some(Extent { range: extent.range.intersect(range), ..extent })
        })
        .take_while(|extent| !extent.range.is_empty())
    }

    /// The longest parts of `range` that are open or closed as a whole; with whether they are open.
    pub(super) fn runs<'a>(
        &'a self,
        held: &'a LockGuard<'_>,
        range: PageRange,
    ) -> impl Iterator<Item = (PageRange, bool)> + 'a {
        let mut extents = self.extents(held, range).peekable();
        std::iter::from_fn(move || {
            let Extent { mut range, attrs } = extents.next()?;
            let alike = |next: &Extent| next.attrs.is_open() == attrs.is_open();
            while let Some(next) = extents.next_if(alike) {
                range.end = next.range.end;
            }
            Some((range, attrs.is_open()))
        })
    }

    /// Calls `f` with the address, the length and the attributes of each VMA's part of `range`.
    pub(super) fn each_piece(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        mut f: impl FnMut(usize, usize, Attrs) -> std::result::Result<(), SysError>,
    ) -> std::result::Result<(), SysError> {
        let base = self.geometry().base;
        self.extents(held, range).try_for_each(|Extent { range, attrs }| {
            f(base + range.start * PAGE, range.len() * PAGE, attrs)
        })
    }

    /// After a call that failed half-way: maps `range` as its VMAs say, as far as the system lets us. Rights that it
    /// still lacks are given by faults.
    pub(super) fn restore_mappings(
        &self,
        held: &LockGuard<'_>,
        range: PageRange,
        pager: &dyn Pager,
    ) {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return };
        for Extent { range, attrs } in self.extents(held, range) {
            let (addr, len) = (geometry.base + range.start * PAGE, range.len() * PAGE);
            if attrs.is_open() {
                let _ = map_open(addr, len, attrs, pager);
            } else if let Some(to) = attrs.protection {
                map.park(range);
                let _ = pager.protect(addr, len, to);
            }
        }
    }

    /// Opens a range that is about to become accessible.
    pub(super) fn open_growth(&self, added: PageRange, pager: &dyn Pager) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let addr = self.geometry().base + added.start * PAGE;
        Ok(pager.open(addr, added.len() * PAGE, Protection::ReadWrite)?)
    }
}

/// Maps an open range as its attributes say, whatever it is mapped as.
fn map_open(
    addr: usize,
    len: usize,
    attrs: Attrs,
    pager: &dyn Pager,
) -> std::result::Result<(), SysError> {
    pager.open(addr, len, attrs.allowed())?;
    pager.system().protect(addr, len, attrs.allowed())
}
