//! A simulated system: one reservation's page tables in an array, and calls that fail when told to.
//!
//! A page's contents are one number. It does what the kernel does as far as pagers can tell: protections, demand-zero
//! and copy-on-write pages, missing pages of a registered range, fixed mappings that replace others.

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

struct State {
    pages: Vec<Pte>,
    calls: usize,
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
    value: u64,
    /// Its contents when it is not present.
    initial: u64,
}

const EMPTY: Pte = Pte {
    allowed: Protection::NoAccess,
    registered: false,
    huge: false,
    present: false,
    value: 0,
    initial: 0,
};

impl State {
    /// Brings the rest of a stripe of which only `page` is there, if it can be one huge page.
    fn bring_stripe(&mut self, page: usize) {
        let PageRange { start, end } = PageRange::stripe_of(page);
        let Some(stripe) = self.pages.get_mut(start..end) else { return };
        let allowed = stripe[page - start].allowed;
        let alike = |pte: &Pte| pte.huge && !pte.registered && pte.allowed == allowed;
        if stripe.iter().all(alike) && stripe.iter().filter(|pte| pte.present).count() == 1 {
            for pte in stripe.iter_mut().filter(|pte| !pte.present) {
                (pte.present, pte.value) = (true, pte.initial);
            }
        }
    }
}

impl Fake {
    /// A reservation of `pages` pages at `base`.
    pub(crate) fn new(base: usize, pages: usize) -> Self {
        let state = State { pages: vec![EMPTY; pages], calls: 0, failing: None };
        Self { base, state: Mutex::new(state) }
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
        let brings_stripe = pte.huge && !pte.present;
        if !pte.present {
            (pte.present, pte.value) = (true, pte.initial);
        }
        if let Some(value) = store {
            pte.value = value;
        }
        let value = pte.value;
        if brings_stripe {
            state.bring_stripe(page);
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
        self.call("madvise", addr, len, |_, pte| pte.present = false)
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
        let pages = &mut self.state().pages[first..first + len / PAGE];
        pages.iter_mut().for_each(|pte| pte.huge = huge);
    }

    fn collapse(&self, addr: usize, len: usize) {
        let first = (addr - self.base) / PAGE;
        for pte in &mut self.state().pages[first..first + len / PAGE] {
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
        self.call("UFFDIO_COPY", addr, len, |index, pte| {
            if !pte.present {
                (pte.present, pte.value) = (true, first.map_or(0, |first| first + index as u64));
            }
        })?;
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
