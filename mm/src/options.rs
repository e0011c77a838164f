//! `RegionOptions`: what a region is to be like.

use crate::arch;
use crate::error::{Error, Result};
use crate::primitive::MAX_SHARDS;
use crate::process::Process;
use crate::space::{Blueprint, Huge, Opening, PAGE, Policy};
use crate::sys::{self, LINUX, Sys, SysError};
use crate::{
    Budget, DisplacedHandlers, GRANULE_SIZE, PagerKind, Region, lots, process, record, registry,
    signal,
};
use std::ops::RangeInclusive;
use std::ptr::NonNull;

/// Builder of a [`Region`].
#[derive(Clone, Debug)]
pub struct RegionOptions {
    maximum: usize,
    guard: usize,
    ahead: bool,
    accessible: usize,
    pager: PagerKind,
    resident_limit: Option<usize>,
    budget: Option<Budget>,
    speculation: bool,
    shards: usize,
    windows: Option<Policy>,
    demand_paging: bool,
    huge_pages: bool,
    displaced: DisplacedHandlers,
}

impl RegionOptions {
    /// A region of which `maximum` bytes (rounded up to a granule) may ever become accessible.
    pub fn new(maximum: usize) -> Self {
        Self {
            maximum,
            guard: 0,
            ahead: true,
            accessible: 0,
            pager: PagerKind::Auto,
            resident_limit: None,
            budget: None,
            speculation: true,
            shards: MAX_SHARDS,
            windows: None,
            demand_paging: true,
            huge_pages: true,
            displaced: DisplacedHandlers::Reclaim,
        }
    }

    /// Reserves `bytes` more behind the maximum, which never become accessible: accesses there are faults of this
    /// region.
    #[must_use]
    pub fn guard(self, bytes: usize) -> Self {
        Self { guard: bytes, ..self }
    }

    /// Whether the whole region is reserved from the start (default: yes). Otherwise only what is accessible is mapped, and
    /// a grow maps more: for processes that may map little. The addresses behind belong to the region, but accesses there
    /// are not certain to fault, and if another part of the process maps something there, the region cannot grow further.
    #[must_use]
    pub fn reserve_ahead(self, on: bool) -> Self {
        Self { ahead: on, ..self }
    }

    /// The first `bytes` are accessible from the start (default: none).
    #[must_use]
    pub fn accessible(self, bytes: usize) -> Self {
        Self { accessible: bytes, ..self }
    }

    /// How pages are made present (default: [`PagerKind::Auto`]).
    #[must_use]
    pub fn pager(self, pager: PagerKind) -> Self {
        Self { pager, ..self }
    }

    /// Limits how many bytes may be resident; a touch beyond the limit is denied (default: no limit). Refused with
    /// [`PagerKind::Demand`].
    #[must_use]
    pub fn resident_limit(self, bytes: Option<usize>) -> Self {
        Self { resident_limit: bytes, ..self }
    }

    /// Makes the region share `budget`: a touch of a page for which that has no room is denied, as beyond a resident limit
    /// (default: no budget). Refused with [`PagerKind::Demand`].
    #[must_use]
    pub fn budget(self, budget: Option<&Budget>) -> Self {
        Self { budget: budget.cloned(), ..self }
    }

    /// Whether faults are tried without the lock first (default: yes).
    #[must_use]
    pub fn speculation(self, on: bool) -> Self {
        Self { speculation: on, ..self }
    }

    /// How many sequence counts cover the page states (default and maximum: 256; rounded up to a power of two). With
    /// one count, the classic design, every discard aborts every speculative fault.
    #[must_use]
    pub fn shards(self, count: usize) -> Self {
        Self { shards: count, ..self }
    }

    /// Whether faults may leave ranges to the kernel's demand paging (default: yes). They do so where touches are in no
    /// sequence, so that nothing is gained by bringing pages before they are touched. It never happens in a region with
    /// a resident limit or with [`fault_around`](Self::fault_around).
    ///
    /// Where it may happen, [`Region::resident`] asks the kernel.
    #[must_use]
    pub fn demand_paging(self, on: bool) -> Self {
        Self { demand_paging: on, ..self }
    }

    /// Whether the region may get huge pages (default: yes, as far as the system's setting of transparent huge pages
    /// allows). Where that is `madvise`, they are asked for ahead of a sequence of first touches that is some megabytes
    /// long, as [`demand_paging`](Self::demand_paging) allows. Where it is `always`, all that is left to the kernel gets
    /// them, unless this is switched off.
    ///
    /// Discarded memory that is a part of a huge page comes back to the system when the system splits the page.
    #[must_use]
    pub fn huge_pages(self, on: bool) -> Self {
        Self { huge_pages: on, ..self }
    }

    /// How many bytes a fault brings: about the start of the range, and at most its end, when faults follow each other.
    /// Rounded up to powers of two from 4 KiB to 2 MiB. Default: from 8 KiB with pagers that bring the pages
    /// themselves, from 64 KiB with those that only make them accessible, and up to 2 MiB.
    #[must_use]
    pub fn fault_around(self, bytes: RangeInclusive<usize>) -> Self {
        let windows = Policy::of_pages(bytes.start().div_ceil(PAGE), bytes.end().div_ceil(PAGE));
        Self { windows: Some(windows), ..self }
    }

    /// What to do when another handler is found in the place of ours (default: take the place back). The check takes a
    /// microsecond; [`DisplacedHandlers::Ignore`] is for callers that call [`check`](crate::signal::check) themselves.
    #[must_use]
    pub fn displaced_handlers(self, displaced: DisplacedHandlers) -> Self {
        Self { displaced, ..self }
    }

    /// Reserves the address space.
    ///
    /// # Errors
    /// When the sizes do not fit the address space; when the accessible length exceeds the maximum or is not a multiple
    /// of the page size; when the pager is not available, or cannot enforce the resident limit; when a handler of ours
    /// was displaced and is not to be put back; or when the system refuses the reservation.
    pub fn build(&self) -> Result<Region> {
        let host = rustix::param::page_size();
        if host != PAGE {
            return Err(Error::PageSize { bytes: host });
        }
        let process = process::current()?;
        let kind = self.pager.resolve(process)?;
        arch::prepare_copies();
        if kind.pager().faults() {
            signal::check_handlers(self.displaced)?;
        } else if self.resident_limit.is_some() || self.budget.is_some() {
            return Err(Error::Unlimited { pager: kind });
        }
        let too_large = || Error::TooLarge { bytes: self.maximum };
        let maximum = self.maximum.checked_next_multiple_of(GRANULE_SIZE).ok_or_else(too_large)?;
        let total = maximum
            .checked_add(self.guard)
            .and_then(|bytes| bytes.max(1).checked_next_multiple_of(registry::SLOT))
            .ok_or_else(too_large)?;

        let (kind, base) = match self.place(kind, maximum, total) {
            // The kernel may lack memory for a page table, or a mapping; or a filter allows one call and denies the
            // next.
            Err(Error::System { .. })
                if self.pager == PagerKind::Auto && kind != PagerKind::Protect =>
            {
                (PagerKind::Protect, self.place(PagerKind::Protect, maximum, total)?)
            }
            placed => (kind, placed?),
        };
        let budget = self.budget.as_ref().map(Budget::state).transpose()?;
        let reserved = if self.ahead { total } else { PAGE };
        let release = |error| {
            self.release(base, reserved);
            error
        };
        let record = record::take(process, kind).map_err(release)?;
        let created = record.space.create(
            &Blueprint {
                base,
                maximum: maximum / PAGE,
                total: total / PAGE,
                limit: self.resident_limit.map_or(usize::MAX, |bytes| bytes / PAGE),
                budget: budget.map(|state| NonNull::from(&state.core)),
                shards: self.shards,
                policy: self.policy(kind, process),
                speculation: self.speculation,
            },
            &process.pool,
        );
        created.map_err(|error| {
            record::give(record);
            release(error.into())
        })?;
        if !registry::insert(base, total, record) {
            record.space.destroy(&process.pool, |base, _| self.release(base, reserved));
            record::give(record);
            return Err(SysError { call: "mmap", errno: libc::EEXIST }.into());
        }
        // From here on, dropping the region cleans up.
        let mut region = Region::adopt(record, base, maximum, [total, reserved], self.speculation);
        region.budget = self.budget.clone();
        budget.inspect(|state| state.add(record));
        region.refuses_huge_pages = self.refuses_huge_pages();
        region.grow(self.accessible)?;
        region.set_pristine();
        Ok(region)
    }

    fn policy(&self, kind: PagerKind, process: &Process) -> Policy {
        // Without page tables that tell, what is open could not be recounted.
        let counts = self.budget.is_none() || process.page_tables.prepare();
        let opens = self.demand_paging && self.resident_limit.is_none() && counts;
        let opening = if opens { Opening::OnEvidence } else { Opening::Never };
        let huge = if self.huge_pages { sys::huge_pages() } else { Huge::Never };
        self.windows.unwrap_or_else(|| kind.policy(opening).huge(huge))
    }

    /// Reserves `total` bytes, or the first page of so many addresses, and prepares what of it may become accessible for
    /// the pager `kind`.
    fn place(&self, kind: PagerKind, maximum: usize, total: usize) -> Result<usize> {
        if !self.ahead {
            return self.place_apart(kind, total);
        }
        let base = LINUX.reserve(total, registry::SLOT)?;
        let placed = if registry::covers(base, total) {
            kind.pager().attach(base, maximum).map_err(Error::from)
        } else {
            Err(Error::TooLarge { bytes: self.maximum })
        };
        if placed.is_ok() && self.refuses_huge_pages() {
            LINUX.advise_huge(base, total, false);
        }
        if placed.is_err() {
            LINUX.release_or_park(base, total);
        }
        placed.map(|()| base)
    }

    /// Whether the system has to be told that there are to be no huge pages.
    fn refuses_huge_pages(&self) -> bool {
        !self.huge_pages && sys::huge_pages() == Huge::Given
    }

    /// Gives back what `place` has reserved.
    fn release(&self, base: usize, reserved: usize) {
        match self.ahead {
            true => LINUX.release_or_park(base, reserved),
            false => {
                LINUX.release_apart(base, reserved);
            }
        }
    }

    fn place_apart(&self, kind: PagerKind, total: usize) -> Result<usize> {
        let base = lots::take(total, PAGE)?;
        let placed = kind.pager().attach(base, PAGE);
        if placed.is_err() {
            LINUX.release_apart(base, PAGE);
        }
        placed.map(|()| base).map_err(Error::from)
    }
}
