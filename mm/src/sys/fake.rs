//! A simulated system: one reservation's page tables in an array, and calls that fail when told to.
//!
//! A page's contents are one number. It does what the kernel does as far as pagers can tell: protections, demand-zero
//! and copy-on-write pages, missing pages of a registered range, fixed mappings that replace others. It counts what it
//! does ([`Tally`]), so that the simulation of the policy (`crate::tests::simulation`) can price it.

use std::sync::{Mutex, MutexGuard};

use super::{ImagePart, Run, Sys, SysError};
use crate::space::{PAGE, PageRange};
use crate::{Access, Protection};

/// The address at which the view of the one image seems to be.
pub(crate) const IMAGE_VIEW: usize = 0x5000_0000_0000;
/// Page `n` of the image holds this plus `n`.
pub(crate) const IMAGE_VALUE: u64 = 1 << 40;

/// The simulated system.
pub(crate) struct Fake {
    base: usize,
    state: Mutex<State>,
}

/// What the system has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Calls of `mprotect`.
    pub(crate) protects: usize,
    /// Calls of `madvise(MADV_DONTNEED)`, and the pages that they took away.
    pub(crate) zaps: usize,
    pub(crate) zapped: usize,
    /// Calls of `mmap`.
    pub(crate) maps: usize,
    /// Calls of `madvise` about huge pages.
    pub(crate) advices: usize,
    /// Ranges made huge pages at once, of a stripe each.
    pub(crate) collapses: usize,
    /// `UFFDIO_REGISTER` and `UFFDIO_UNREGISTER`.
    pub(crate) registrations: usize,
    /// `UFFDIO_COPY`, and the pages that it brought.
    pub(crate) copies: usize,
    pub(crate) copied: usize,
    /// Faults of the system's own, without a signal: stores that brought a page of zeroes.
    pub(crate) faults: usize,
    /// Loads that mapped the shared page of zeroes, or the page of a file.
    pub(crate) shared: usize,
    /// Stores that copied such a page.
    pub(crate) copies_on_write: usize,
    /// Touches that brought a huge page.
    pub(crate) huge: usize,
}

struct State {
    pages: Vec<Pte>,
    calls: usize,
    tally: Tally,
    /// Whether all memory gets huge pages.
    gives_huge: bool,
    /// The number of the call that fails, and whether all later ones do, too.
    failing: Option<(usize, bool)>,
}

#[derive(Clone, Copy)]
struct Pte {
    allowed: Protection,
    registered: bool,
    /// Whether a touch may bring the whole stripe.
    huge: bool,
    present: bool,
    /// Whether it is present, but only for loads: the page of zeroes, or a file's.
    shared: bool,
    value: u64,
    /// Its contents when it is not present.
    initial: u64,
}

const EMPTY: Pte = Pte {
    allowed: Protection::NoAccess,
    registered: false,
    huge: false,
    present: false,
    shared: false,
    value: 0,
    initial: 0,
};

impl State {
    /// Brings the rest of a stripe of which only `page` is there, if it can be one huge page. Returns whether it is.
    fn bring_stripe(&mut self, page: usize) -> bool {
        let given = self.gives_huge;
        let PageRange { start, end } = PageRange::stripe_of(page);
        let Some(stripe) = self.pages.get_mut(start..end) else { return false };
        let allowed = stripe[page - start].allowed;
        let alike = |pte: &Pte| {
            let may_be_huge = pte.huge || (given && pte.initial == 0);
            may_be_huge && !pte.registered && pte.allowed == allowed
        };
        let is_huge =
            stripe.iter().all(alike) && stripe.iter().filter(|pte| pte.present).count() == 1;
        if is_huge {
            for pte in stripe {
                let value = if pte.present { pte.value } else { pte.initial };
                (pte.present, pte.shared, pte.value) = (true, false, value);
            }
        }
        is_huge
    }

    /// Counts a touch of a page that was not there.
    fn count_fault(&mut self, page: usize, is_store: bool) {
        let tally = &mut self.tally;
        match (is_store, self.pages[page].initial) {
            (false, _) => tally.shared += 1,
            (true, 0) => tally.faults += 1,
            (true, _) => tally.copies_on_write += 1,
        }
    }
}

impl Fake {
    /// A reservation of `pages` pages at `base`.
    pub(crate) fn new(base: usize, pages: usize) -> Self {
        let (pages, tally) = (vec![EMPTY; pages], Tally::default());
        let state = State { pages, calls: 0, tally, gives_huge: false, failing: None };
        Self { base, state: Mutex::new(state) }
    }

    /// From now on, all memory gets huge pages.
    pub(crate) fn give_huge_pages(&self) {
        self.state().gives_huge = true;
    }

    /// What was done since this was asked last.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.state().tally)
    }

    /// How many mappings the reservation consists of.
    pub(crate) fn mappings(&self) -> usize {
        let kind = |pte: &Pte| (pte.allowed, pte.registered, pte.huge, pte.initial != 0);
        self.state().pages.chunk_by(|one, other| kind(one) == kind(other)).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The `nth` call from now (counted from 0) fails. With `for_good`, so does every later call.
    pub(crate) fn fail(&self, nth: usize, for_good: bool) {
        let mut state = self.state();
        state.failing = Some((state.calls + nth, for_good));
    }

    /// Calls succeed again. Returns whether one has failed.
    pub(crate) fn stop_failing(&self) -> bool {
        let mut state = self.state();
        let calls = state.calls;
        state.failing.take().is_some_and(|(nth, _)| calls > nth)
    }

    /// A load, or a store of `store`, by the processor: returns the value afterwards, or a fault.
    pub(crate) fn touch(&self, page: usize, store: Option<u64>) -> Result<u64, Access> {
        let mut state = self.state();
        let access = if store.is_some() { Access::Write } else { Access::Read };
        let pte = &mut state.pages[page];
        let allowed = match access {
            Access::Read => pte.allowed != Protection::NoAccess,
            Access::Write => pte.allowed == Protection::ReadWrite,
        };
        if !allowed || (pte.registered && !pte.present) {
            return Err(access);
        }
        let is_first = !pte.present;
        let copies = pte.shared && store.is_some();
        if is_first {
            (pte.present, pte.shared, pte.value) = (true, store.is_none(), pte.initial);
        }
        if let Some(value) = store {
            (pte.value, pte.shared) = (value, false);
        }
        let value = pte.value;
        if is_first && state.bring_stripe(page) {
            state.tally.huge += 1;
        } else if is_first {
            state.count_fault(page, store.is_some());
        } else {
            state.tally.copies_on_write += usize::from(copies);
        }
        Ok(value)
    }

    /// Whether huge pages are asked for where `page` is.
    pub(crate) fn is_huge(&self, page: usize) -> bool {
        self.state().pages[page].huge
    }

    /// Pages of `range` that are there.
    pub(crate) fn present(&self, range: PageRange) -> usize {
        self.state().pages[range.start..range.end].iter().filter(|pte| pte.present).count()
    }

    /// Whether the processor could load from the page without a fault.
    pub(crate) fn is_reachable(&self, page: usize) -> bool {
        let state = self.state();
        let pte = state.pages[page];
        pte.allowed != Protection::NoAccess && (pte.present || !pte.registered)
    }

    fn call(
        &self,
        call: &'static str,
        addr: usize,
        len: usize,
        mut change: impl FnMut(usize, &mut Pte),
    ) -> Result<(), SysError> {
        assert!(
            addr >= self.base && addr.is_multiple_of(PAGE) && len.is_multiple_of(PAGE) && len > 0,
            "{call}"
        );
        let mut state = self.state();
        let number = state.calls;
        state.calls += 1;
        let tally = &mut state.tally;
        *match call {
            "mprotect" => &mut tally.protects,
            "madvise" => &mut tally.zaps,
            "mmap" => &mut tally.maps,
            "UFFDIO_COPY" => &mut tally.copies,
            _ => &mut tally.registrations,
        } += 1;
        let first = (addr - self.base) / PAGE;
        if let Some((nth, for_good)) = state.failing
            && (number == nth || (for_good && number > nth))
        {
            // A call over several mappings may be carried out in part. If later calls fail as well, nothing can undo that.
            if !for_good && matches!(call, "mprotect" | "UFFDIO_UNREGISTER") {
                let part = &mut state.pages[first..first + len / PAGE / 2];
                part.iter_mut().enumerate().for_each(|(index, pte)| change(index, pte));
            }
            return Err(SysError { call, errno: libc::ENOMEM });
        }
        for (index, pte) in state.pages[first..first + len / PAGE].iter_mut().enumerate() {
            change(index, pte);
        }
        Ok(())
    }
}

impl Sys for Fake {
    fn protect(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        self.call("mprotect", addr, len, |_, pte| pte.allowed = to)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        let mut zapped = 0;
        self.call("madvise", addr, len, |_, pte| {
            zapped += usize::from(pte.present);
            (pte.present, pte.shared) = (false, false);
        })?;
        self.state().tally.zapped += zapped;
        Ok(())
    }

    fn map_zero(&self, addr: usize, len: usize, to: Protection) -> Result<(), SysError> {
        self.call("mmap", addr, len, |_, pte| *pte = Pte { allowed: to, ..EMPTY })
    }

    fn map_image(
        &self,
        addr: usize,
        len: usize,
        image: ImagePart,
        to: Protection,
    ) -> Result<(), SysError> {
        let first = IMAGE_VALUE + (image.offset / PAGE) as u64;
        self.call("mmap", addr, len, |index, pte| {
            *pte = Pte { allowed: to, initial: first + index as u64, ..EMPTY }
        })
    }

    fn advise_huge(&self, addr: usize, len: usize, huge: bool) {
        // Not a call that may fail: nobody looks.
        assert!(addr.is_multiple_of(PAGE) && len.is_multiple_of(PAGE) && len > 0);
        let first = (addr - self.base) / PAGE;
        let mut state = self.state();
        state.tally.advices += 1;
        state.pages[first..first + len / PAGE].iter_mut().for_each(|pte| pte.huge = huge);
    }

    fn collapse(&self, addr: usize, len: usize) {
        let first = (addr - self.base) / PAGE;
        let mut state = self.state();
        state.tally.collapses += 1;
        for pte in &mut state.pages[first..first + len / PAGE] {
            assert!(pte.huge && !pte.registered, "only what is open and asks for huge pages");
            if !pte.present {
                (pte.present, pte.value) = (true, pte.initial);
            }
        }
    }

    fn register(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.call("UFFDIO_REGISTER", addr, len, |_, pte| pte.registered = true)
    }

    fn unregister(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.call("UFFDIO_UNREGISTER", addr, len, |_, pte| pte.registered = false)
    }

    fn copy(&self, addr: usize, len: usize, source: Option<usize>) -> Result<usize, SysError> {
        let first = source.map(|source| IMAGE_VALUE + ((source - IMAGE_VIEW) / PAGE) as u64);
        let mut copied = 0;
        self.call("UFFDIO_COPY", addr, len, |index, pte| {
            if !pte.present {
                (pte.present, pte.value) = (true, first.map_or(0, |first| first + index as u64));
                copied += 1;
            }
        })?;
        self.state().tally.copied += copied;
        Ok(len)
    }

    fn changed(
        &self,
        addr: usize,
        len: usize,
        _private: bool,
        most: usize,
        runs: &mut [Run],
    ) -> Option<(usize, usize)> {
        let state = self.state();
        let (first, end) = ((addr - self.base) / PAGE, (addr - self.base + len) / PAGE);
        let (mut found, mut pages) = (0, 0);
        for page in first..end {
            let at = self.base + page * PAGE;
            if pages == most || found == runs.len() {
                return Some((found, at));
            }
            if state.pages[page].present {
                runs[found] = Run { start: at, end: at + PAGE };
                (found, pages) = (found + 1, pages + 1);
            }
        }
        Some((found, addr + len))
    }

    fn contents(&self, addr: usize, len: usize, _private: bool) -> Option<[u64; 8]> {
        let state = self.state();
        let first = (addr - self.base) / PAGE;
        let mut bits = [0; 8];
        for (page, pte) in state.pages[first..first + len / PAGE].iter().enumerate() {
            bits[page / 64] |= u64::from(pte.present) << (page % 64);
        }
        Some(bits)
    }

    fn restore(&self, addr: usize, len: usize, source: Option<usize>) -> bool {
        let first = source.map(|source| IMAGE_VALUE + ((source - IMAGE_VIEW) / PAGE) as u64);
        let mut state = self.state();
        let start = (addr - self.base) / PAGE;
        let mut changed = false;
        for (index, pte) in state.pages[start..start + len / PAGE].iter_mut().enumerate() {
            let may_be_touched = pte.present || !pte.registered;
            assert!(
                pte.allowed == Protection::ReadWrite && may_be_touched,
                "page {}",
                start + index
            );
            if !pte.present {
                (pte.present, pte.value) = (true, pte.initial);
            }
            let right = first.map_or(0, |first| first + index as u64);
            changed |= pte.value != right;
            pte.value = right;
        }
        changed
    }
}
