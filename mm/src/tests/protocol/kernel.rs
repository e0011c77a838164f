//! The kernel of the protocol: one writer and two readers.
//!
//! The scenarios in `scenarios.rs` run whole faults and whole operations, which are too long for three threads with
//! many preemptions. Here the same counts, claims, page states and VMAs are used, reduced to the steps that other
//! threads see. The bounds are chosen so that all executions take seconds. With two threads, `scenarios.rs` explores
//! all executions.

use std::ptr::NonNull;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::primitive::{self, Fence, Mutant, Step};
use super::scenarios::{explore, is_caught, write};
use super::space::{Attrs, Extent, PageMap, PageRange, Pool, Readers, SeqCount, Space, Vma};
use crate::Protection;

const PAGE: PageRange = PageRange::new(0, 1);

fn map() -> PageMap {
    // SAFETY: a map of a page needs no annex here.
    unsafe { PageMap::new(1, NonNull::dangling()) }
}

/// When a fault looks at the count again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    BeforePublishing,
    /// The mutant: by then another thread may have used the page.
    Afterwards,
}

/// What two committers and a writer share: one page, its true state, and the count that covers it.
struct Page {
    count: SeqCount,
    map: PageMap,
    /// Whether the system has the page. Relaxed, so that all order must come from the protocol.
    truth: AtomicUsize,
    /// Whether the range still belongs to the space.
    owned: AtomicUsize,
}

impl Page {
    fn new() -> Arc<Self> {
        let (truth, owned) = (AtomicUsize::new(0), AtomicUsize::new(1));
        Arc::new(Self { count: SeqCount::new(), map: map(), truth, owned })
    }

    /// Steps 5 to 9 of a fault.
    fn fault(&self) {
        self.fault_that_checks(Check::BeforePublishing);
    }

    fn fault_that_checks(&self, check: Check) {
        let Some(seen) = self.count.try_begin() else { return };
        let Ok(claim) = self.map.claim(0, PAGE) else { return };
        primitive::fence(Fence::ClaimThenCheck, Ordering::SeqCst);
        if check == Check::BeforePublishing && self.count.has_moved(seen) {
            return;
        }
        assert_eq!(self.owned.load(Ordering::Relaxed), 1, "brought into a range given back");
        assert_eq!(self.truth.load(Ordering::Relaxed), 0, "brought twice");
        self.truth.store(1, Ordering::Relaxed);
        claim.publish(1);
        if check == Check::Afterwards && self.count.has_moved(seen) {
            self.truth.store(0, Ordering::Relaxed);
            self.map.set_absent(PAGE);
        }
    }

    /// What a discard does to a stripe. A teardown leaves the count odd until nobody owns the range.
    fn unmap(&self, teardown: bool) {
        self.count.raw_write_begin();
        Space::mark_then_look();
        self.map.wait_for_claims(PAGE);
        self.owned.store(usize::from(!teardown), Ordering::Relaxed);
        self.truth.store(0, Ordering::Relaxed);
        self.map.set_absent(PAGE);
        if !teardown {
            self.count.raw_write_end();
        }
    }

    fn check(&self) {
        assert!(!self.map.any_claimed(PAGE), "a claim is left over");
        assert_eq!(
            self.map.is_present(0),
            self.truth.load(Ordering::Relaxed) == 1,
            "a false state"
        );
    }
}

/// Runs two readers of `shared` against `writer`; the readers are done when this returns.
fn race<T: Send + Sync + 'static>(
    shared: &Arc<T>,
    reader: impl Fn(&T) + Copy + Send + 'static,
    writer: impl FnOnce(&T),
) {
    let readers = [(); 2].map(|()| {
        let shared = Arc::clone(shared);
        thread::spawn(move || reader(&shared))
    });
    writer(shared);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn claim_publish_and_discard() {
    explore(Some(4), || {
        let page = Page::new();
        race(&page, Page::fault, |page| page.unmap(false));
        page.check();
    });
}

#[test]
fn claim_publish_and_teardown() {
    explore(Some(4), || {
        let page = Page::new();
        race(&page, Page::fault, |page| page.unmap(true));
        page.check();
        assert_eq!(page.truth.load(Ordering::Relaxed), 0, "a page is left in a range given back");
    });
}

#[test]
fn checking_after_publishing_is_too_late() {
    let late = || {
        explore(Some(2), || {
            let page = Page::new();
            race(&page, |page| page.fault_that_checks(Check::Afterwards), |page| page.unmap(true));
            page.check();
            assert_eq!(page.truth.load(Ordering::Relaxed), 0);
        });
    };
    assert!(std::panic::catch_unwind(late).is_err());
}

/// A page map that goes out of use, and gives its memory back, and goes to another use.
struct Retired {
    readers: Readers,
    map: PageMap,
    /// Whether the map is still found.
    found: AtomicUsize,
}

impl Retired {
    fn new() -> Arc<Self> {
        Arc::new(Self { readers: Readers::new(), map: map(), found: AtomicUsize::new(1) })
    }

    /// A fault that finds the map, and fails its re-check.
    fn fault(&self) {
        let _reading = self.readers.enter();
        if self.found.load(Ordering::Relaxed) == 1 {
            drop(self.map.claim(0, PAGE));
        }
    }

    /// A teardown, and the next life.
    fn retire(&self) {
        self.found.store(0, Ordering::Relaxed);
        if self.readers.have_left() {
            self.map.decommit();
        }
        if let Ok(claim) = self.map.claim(0, PAGE) {
            claim.publish(1);
        }
    }
}

/// A map loses its memory during faults that found it in its former life.
fn retire(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Retired::new();
        let faults: Vec<_> = (0..faulters)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.fault())
            })
            .collect();
        shared.retire();
        faults.into_iter().for_each(|fault| fault.join().unwrap());
        assert!(!shared.map.any_claimed(PAGE), "a page is claimed by nobody");
    });
}

#[test]
fn no_claim_is_lost_with_the_memory_of_a_map() {
    retire(1, None);
    retire(2, Some(2));
}

#[test]
fn looking_for_readers_before_memory_is_given_back_is_needed() {
    let mutants = [
        Mutant::Skips(Step::LookForReaders),
        Mutant::Without(Fence::EnterThenLook),
        Mutant::Without(Fence::RetireThenLook),
    ];
    for mutant in mutants {
        assert!(is_caught(mutant, || retire(1, None)), "{mutant:?}");
    }
}

const BEFORE: (usize, Extent) = (1, Extent { range: PageRange::new(0, 4), attrs: Attrs::FRESH });
const AFTER: (usize, Extent) = (1, Extent { range: PageRange::new(0, 1), attrs: CLOSED });
const CLOSED: Attrs = Attrs { protection: Some(Protection::NoAccess), ..Attrs::FRESH };

/// Reads a VMA as a fault does, and compares it with the `allowed` values.
fn snapshot(vma: &Vma, allowed: &[(usize, Extent)]) {
    let Some(seen) = vma.bounds.try_begin() else { return };
    let now = (vma.owner(), vma.extent());
    if !vma.bounds.retry(seen) {
        assert!(allowed.contains(&now), "a mixture: {now:?}");
    }
}

#[test]
fn snapshots_of_a_vma_that_is_adjusted() {
    explore(Some(4), || {
        let vma = Arc::new(Vma::new());
        write(&vma, |vma| vma.set(BEFORE.0, BEFORE.1));
        race(
            &vma,
            |vma| snapshot(vma, &[BEFORE, AFTER]),
            |vma| {
                write(vma, |vma| vma.set(AFTER.0, AFTER.1));
            },
        );
    });
}

#[test]
fn snapshots_of_a_vma_that_is_reused() {
    explore(Some(2), || {
        let pool = Arc::new(Pool::new());
        let vma: &Vma = pool.take_vmas(1).unwrap()[0];
        write(vma, |vma| vma.set(BEFORE.0, BEFORE.1));
        let stale = Stale { pool: Arc::clone(&pool), vma: std::ptr::from_ref(vma) };
        let other = (2, BEFORE.1);
        let none = (0, Extent { range: PageRange::default(), attrs: Attrs::RESERVED });
        race(
            &Arc::new(stale),
            move |stale| snapshot(stale.vma(), &[BEFORE, none, other]),
            |stale| {
                write(stale.vma(), Vma::clear);
                stale.pool.give_vmas([stale.vma()]);
                let again: &Vma = stale.pool.take_vmas(1).unwrap()[0];
                write(again, |vma| vma.set(other.0, other.1));
            },
        );
    });
}

/// A VMA of a pool.
struct Stale {
    pool: Arc<Pool>,
    vma: *const Vma,
}

// SAFETY: VMAs are `Sync`, and the pool comes along.
unsafe impl Send for Stale {}
// SAFETY: as above.
unsafe impl Sync for Stale {}

impl Stale {
    fn vma(&self) -> &Vma {
        // SAFETY: the pool, which never frees one, is alive.
        unsafe { &*self.vma }
    }
}
