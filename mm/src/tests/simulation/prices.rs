//! What the system's work costs, in nanoseconds of the thread's processor time.
//!
//! [`Prices::MEASURED`] is what [`measure`] found on one machine. `SEQFAULT_MEASURE=1 cargo test --release -p seqfault-mm --lib
//! simulation::measured -- --nocapture` measures them on this one.

use super::measured::{Mapped, time};
use super::replay::Work;
use crate::space::PAGE;
use crate::sys::{LINUX, Sys};
use crate::{PagerKind, Protection, RegionOptions};

/// The price list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    /// A signal, our handler and the way back; without the system calls in it.
    pub(super) signal: f64,
    /// A growth, without system calls.
    pub(super) growth: f64,
    /// `mprotect` of a range without pages.
    pub(super) protect: f64,
    /// `madvise(MADV_DONTNEED)`: the call, and each page that goes.
    pub(super) zap: f64,
    pub(super) zapped: f64,
    /// `UFFDIO_COPY`: the call, and each page.
    pub(super) copy: f64,
    pub(super) copied: f64,
    /// `UFFDIO_UNREGISTER` or `UFFDIO_REGISTER`.
    pub(super) registration: f64,
    /// The kernel's fault at a store to a page that is not there.
    pub(super) fault: f64,
    /// The kernel's fault at a load from a page that is not there.
    pub(super) shared: f64,
    /// The kernel's fault at a store to a page that was loaded from.
    pub(super) copy_on_write: f64,
    /// The kernel's fault that brings a huge page.
    pub(super) huge: f64,
}

impl Prices {
    /// Linux 6.18 in a virtual machine with two cores (AMD EPYC), 2026-11-25, load average 8, by the command above. On an idle
    /// machine all of them are a fifth to a third less.
    pub(super) const MEASURED: Self = Self {
        signal: 3800.0,
        growth: 34.0,
        protect: 780.0,
        zap: 1130.0,
        zapped: 250.0,
        copy: 560.0,
        copied: 1200.0,
        registration: 880.0,
        fault: 1670.0,
        shared: 650.0,
        copy_on_write: 1830.0,
        huge: 130_000.0,
    };

    /// What the same would cost if all of `cores` cores did it at once in one process: an assumption, not a measurement.
    ///
    /// `mprotect`, `madvise` about huge pages, `mmap` and the registration of userfaultfd take the kernel's lock of the address space for
    /// writing, so each waits for those of all others; `MADV_DONTNEED` of present pages interrupts all cores that run the process, about 100 ns
    /// each. Faults, and `UFFDIO_COPY` since Linux 6.10, take the lock of a single mapping and do not wait.
    ///
    /// # References
    /// The kernel's `Documentation/mm/process_addrs.rst` and `mm/userfaultfd.c`; for the interrupts: Kumar et al., "LATR: Lazy
    /// Translation Coherence", ASPLOS 2018.
    pub(super) fn on_cores(&self, cores: usize) -> Self {
        let others = (cores - 1) as f64;
        Self {
            protect: self.protect * (1.0 + others),
            registration: self.registration * (1.0 + others),
            zap: self.zap + 100.0 * others,
            ..*self
        }
    }

    /// What `work` costs.
    pub(super) fn of(&self, work: &Work) -> f64 {
        let tally = &work.tally;
        // A collapsed stripe is cleared like a huge page that is touched; advice about a range changes its mapping, as
        // `mprotect` does; a mapping that replaces another costs about two of those.
        let parts = [
            (work.signals, self.signal),
            (work.growths, self.growth),
            (tally.protects + tally.advices + 2 * tally.maps, self.protect),
            (tally.zaps, self.zap),
            (tally.zapped, self.zapped),
            (tally.copies, self.copy),
            (tally.copied, self.copied),
            (tally.registrations, self.registration),
            (tally.faults, self.fault),
            (tally.shared, self.shared),
            (tally.copies_on_write, self.copy_on_write),
            (tally.huge + tally.collapses, self.huge),
        ];
        parts.into_iter().map(|(count, price)| count as f64 * price).sum()
    }
}

/// Pages that are worked on for each price.
const PAGES: usize = 8192;

/// Measures the prices of this machine: medians of a few rounds.
pub(super) fn measure() -> Prices {
    // Finds out what this host has.
    drop(RegionOptions::new(PAGE).build());
    let median = |one: &dyn Fn() -> f64| {
        let mut all: Vec<f64> = (0..7).map(|_| one()).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let fault = median(&|| each(false, |mapped, page| mapped.store(page)));
    let protect = median(&protect);
    let copy_of_one = median(&|| copies(1));
    let copied = (median(&|| copies(256)) - copy_of_one) / 255.0;
    let zap_of_one = median(&|| zaps(1));
    let zapped = (median(&|| zaps(256)) - zap_of_one) / 255.0;
    let growth = median(&growth);
    Prices {
        // Windows of a page: each touch is a signal, an `mprotect`, and a fault of the kernel.
        signal: median(&faults) - protect - fault,
        growth,
        protect,
        zap: zap_of_one - zapped,
        zapped,
        copy: copy_of_one - copied,
        copied,
        registration: median(&registrations),
        fault,
        shared: median(&|| each(false, |mapped, page| mapped.load(page))),
        copy_on_write: median(&|| each(true, |mapped, page| mapped.store(page))),
        huge: median(&huge),
    }
}

/// The time of `touch` for each page of a fresh mapping, of which all pages were loaded from before if `loaded`.
fn each(loaded: bool, touch: impl Fn(&Mapped, usize)) -> f64 {
    let mapped = Mapped::new(PAGES * PAGE, Protection::ReadWrite);
    if loaded {
        (0..PAGES).for_each(|page| mapped.load(page));
    }
    time(|| (0..PAGES).for_each(|page| touch(&mapped, page))) / PAGES as f64
}

fn protect() -> f64 {
    let mapped = Mapped::new(PAGES * PAGE, Protection::NoAccess);
    let calls = PAGES / 16;
    let protect = |at: usize| {
        LINUX.protect(mapped.addr(at * 16), 16 * PAGE, Protection::ReadWrite).expect("mapped");
    };
    time(|| (0..calls).for_each(protect)) / calls as f64
}

/// The time of a copy of `pages` pages.
fn copies(pages: usize) -> f64 {
    let mapped = Mapped::new(PAGES * PAGE, Protection::ReadWrite);
    if LINUX.register(mapped.addr(0), PAGES * PAGE).is_err() {
        return f64::NAN;
    }
    let calls = (PAGES / pages).min(1024);
    let copy = |at: usize| {
        LINUX.copy(mapped.addr(at * pages), pages * PAGE, None).expect("registered");
    };
    time(|| (0..calls).for_each(copy)) / calls as f64
}

fn zaps(pages: usize) -> f64 {
    let mapped = Mapped::new(PAGES * PAGE, Protection::ReadWrite);
    (0..PAGES).for_each(|page| mapped.store(page));
    let calls = (PAGES / pages).min(1024);
    let zap = |at: usize| LINUX.zap(mapped.addr(at * pages), pages * PAGE).expect("mapped");
    time(|| (0..calls).for_each(zap)) / calls as f64
}

/// Ranges that are not registered any more, one behind the other.
fn registrations() -> f64 {
    let mapped = Mapped::new(PAGES * PAGE, Protection::ReadWrite);
    if LINUX.register(mapped.addr(0), PAGES * PAGE).is_err() {
        return f64::NAN;
    }
    let calls = PAGES / 16;
    let leave = |at: usize| LINUX.unregister(mapped.addr(at * 16), 16 * PAGE).expect("registered");
    time(|| (0..calls).for_each(leave)) / calls as f64
}

/// The time of a touch where each raises a signal.
fn faults() -> f64 {
    let options = RegionOptions::new(PAGES * PAGE).accessible(PAGES * PAGE);
    let options = options.pager(PagerKind::Protect).fault_around(PAGE..=PAGE).huge_pages(false);
    let region = options.build().expect("room");
    let store = |page: usize| {
        // SAFETY: inside of the region, which may be written to.
        unsafe { region.base().add(page * PAGE).write_volatile(1) };
    };
    time(|| (0..PAGES).for_each(store)) / PAGES as f64
}

fn growth() -> f64 {
    const TIMES: usize = 1000;
    let options = RegionOptions::new(TIMES * 16 * PAGE).pager(PagerKind::Protect);
    let region = options.accessible(PAGE * 16).build().expect("room");
    let grow = |at: usize| region.grow(at * 16 * PAGE).expect("room");
    time(|| (2..TIMES).for_each(grow)) / TIMES as f64
}

/// NaN where there are none.
fn huge() -> f64 {
    let mapped = Mapped::new(PAGES * PAGE, Protection::ReadWrite);
    LINUX.advise_huge(mapped.addr(0), PAGES * PAGE, true);
    let count = PAGES / 512;
    let each = time(|| (0..count).for_each(|stripe| mapped.store(stripe * 512))) / count as f64;
    // The other pages are there already, if they are huge.
    let rest = time(|| (0..count).for_each(|stripe| mapped.store(stripe * 512 + 256)));
    if rest / (count as f64) < 300.0 { each } else { f64::NAN }
}
