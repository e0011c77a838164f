//! The scenarios: one writer, one or two faulting threads.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::primitive::{Mutant, Step, is, mutate};
use super::shared::{BASE, ELSEWHERE, FROM_IMAGE, Shared};
use super::space::{Attrs, Extent, Outcome, PageRange, Pool, Vma};
use crate::{Access, FaultKind, Protection};

/// Runs the model checker: every execution with at most `preemptions` switches away from a thread that could continue
/// (all executions without a bound), and, in each, every value that a load may see.
pub(super) fn explore(preemptions: Option<usize>, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    builder.check(scenario);
}

fn spawn(shared: &Arc<Shared>, body: impl FnOnce(&Shared) + 'static) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || body(&shared))
}

fn pages(start: usize, end: usize) -> PageRange {
    PageRange::new(start, end)
}

const EXTENT: Extent = Extent { range: PageRange::new(0, 1), attrs: Attrs::FRESH };

/// A VMA's address, to be sent to another thread.
struct Address(*const Vma);

// SAFETY: VMAs are `Sync`, and the receiver keeps the pool alive.
unsafe impl Send for Address {}

impl Address {
    /// # Safety
    /// The pool is alive.
    unsafe fn get<'a>(self) -> &'a Vma {
        // SAFETY: the caller's condition.
        unsafe { &*self.0 }
    }
}

pub(super) fn write(vma: &Vma, change: impl FnOnce(&Vma)) {
    vma.bounds.raw_write_begin();
    change(vma);
    vma.bounds.raw_write_end();
}

/// A VMA is split in three: its neighbour's storage gets another range and other attributes. No fault may see a
/// mixture.
pub(super) fn split(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(2);
        let threads: Vec<_> =
            (0..faulters).map(|_| spawn(&shared, |shared| shared.touch(1, Access::Read))).collect();
        shared.protect(pages(0, 1), Protection::NoAccess);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        shared.check();
    });
}

/// A boundary moves. Accessible memory stays accessible throughout; accesses to the new part are denied or resolved.
pub(super) fn grow(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(1);
        let threads: Vec<_> = (0..faulters)
            .map(|at| {
                spawn(&shared, move |shared| {
                    if at == 0 {
                        shared.try_touch(1, Access::Write)
                    } else {
                        shared.touch(0, Access::Write)
                    }
                })
            })
            .collect();
        shared.space.grow(2, &shared.pool, &shared.truth).unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // A thread that knows that the grow is done is not denied.
        shared.touch(1, Access::Write);
        shared.check();
    });
}

/// A page of an image is discarded: no fault brings the image back.
pub(super) fn discard_image(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(1);
        shared.attach_image(pages(0, 1));
        let threads: Vec<_> = (0..faulters)
            .map(|_| spawn(&shared, |shared| shared.touch(0, Access::Write)))
            .collect();
        shared.discard(pages(0, 1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_ne!(shared.truth.get(0), FROM_IMAGE, "discarded contents are back");
        shared.check();
    });
}

/// A page is claimed, published and discarded at the same time.
pub(super) fn discard(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(1);
        let threads: Vec<_> = (0..faulters)
            .map(|_| spawn(&shared, |shared| shared.touch(0, Access::Write)))
            .collect();
        shared.discard(pages(0, 1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        shared.check();
    });
}

/// One fault continues a sequence and brings a page, and another, which does not, opens the VMA. Pages are either counted
/// or open.
pub(super) fn open(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::opening(4);
        shared.touch(0, Access::Write);
        let threads: Vec<_> = (0..faulters)
            .map(|at| spawn(&shared, move |shared| shared.touch(at + 1, Access::Write)))
            .collect();
        shared.touch(3, Access::Write);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        shared.check();
    });
}

/// What is open is taken back from the kernel, while faults touch it, or open it again.
pub(super) fn recount(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::sharing(3);
        shared.touch(0, Access::Write);
        shared.touch(2, Access::Write);
        let threads: Vec<_> = (0..faulters)
            .map(|at| spawn(&shared, move |shared| shared.touch(at + 1, Access::Write)))
            .collect();
        shared.recount();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        shared.check();
    });
}

/// What is done to a VMA while a fault opens it.
pub(super) fn open_during(preemptions: Option<usize>, writer: fn(&Shared)) {
    explore(preemptions, move || {
        let shared = Shared::opening(3);
        shared.touch(0, Access::Write);
        let opener = spawn(&shared, |shared| {
            shared.fault(2, Access::Write);
        });
        writer(&shared);
        opener.join().unwrap();
        shared.check();
    });
}

/// A space is destroyed during a fault.
pub(super) fn teardown(faulters: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(1);
        let threads: Vec<_> = (0..faulters)
            .map(|_| {
                spawn(&shared, |shared| {
                    shared.fault(0, Access::Write);
                })
            })
            .collect();
        shared.die();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        shared.space.validate();
    });
}

/// A merge frees a VMA, and another space takes it: a fault must not use its attributes.
pub(super) fn reuse(preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(2);
        shared.protect(pages(1, 2), Protection::ReadOnly);
        let other = super::space::Space::new();
        let stale = spawn(&shared, |shared| {
            let outcome = shared.fault(3, Access::Write);
            assert_eq!(
                outcome,
                Outcome::Denied(FaultKind::OutOfBounds),
                "what another space allows is allowed here"
            );
        });
        shared.protect(pages(1, 2), Protection::ReadWrite);
        shared.put_to_use(&other, BASE, 4);
        stale.join().unwrap();
        shared.check();
        other.validate();
    });
}

/// A space is destroyed and reused elsewhere during a fault on its former life.
pub(super) fn rebirth(accessible: usize, preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(1);
        let stale = spawn(&shared, |shared| {
            shared.fault(0, Access::Write);
        });
        shared.die();
        shared.put_to_use(&shared.space, ELSEWHERE, accessible);
        stale.join().unwrap();
        shared.space.validate();
        assert!(!shared.space.is_resident(0), "a fault of the former life brought a page");
    });
}

/// The first grow of a space: a VMA gets another range and other attributes, with nothing in between.
pub(super) fn first_grow(preemptions: Option<usize>) {
    explore(preemptions, move || {
        let shared = Shared::new(0);
        let outside = spawn(&shared, |shared| {
            let outcome = shared.fault(2, Access::Write);
            assert_eq!(
                outcome,
                Outcome::Denied(FaultKind::OutOfBounds),
                "a page out of bounds was brought"
            );
        });
        shared.space.grow(1, &shared.pool, &shared.truth).unwrap();
        outside.join().unwrap();
        shared.check();
    });
}

/// A VMA goes to another use: who took its count before finds it moved, however alike it looks.
pub(super) fn reuse_of_a_vma(preemptions: Option<usize>) {
    explore(preemptions, move || {
        let pool = Arc::new(Pool::new());
        let (before, after) = (1, 2);
        let vma: &Vma = pool.take_vmas(1).unwrap()[0];
        write(vma, |vma| vma.set(before, EXTENT));
        let reused = Arc::new(AtomicUsize::new(0));
        let reader = {
            let (pool, reused, vma) =
                (Arc::clone(&pool), Arc::clone(&reused), Address(std::ptr::from_ref(vma)));
            thread::spawn(move || {
                // SAFETY: the pool lives as long as this thread, which holds it.
                let vma = unsafe { vma.get() };
                let Some(seen) = vma.bounds.try_begin() else { return };
                let owner = vma.owner();
                if owner == before && reused.load(Ordering::Acquire) == 1 {
                    assert!(vma.bounds.retry(seen), "a reused VMA looks untouched");
                }
                drop(pool);
            })
        };
        write(vma, Vma::clear);
        pool.give_vmas([vma]);
        let again: &Vma = pool.take_vmas(1).unwrap()[0];
        assert!(std::ptr::eq(vma, again));
        if is(Mutant::Skips(Step::KeepCount)) {
            again.bounds.reset();
        }
        write(again, |vma| vma.set(after, EXTENT));
        reused.store(1, Ordering::Release);
        reader.join().unwrap();
    });
}

#[test]
fn nobody_sees_a_split_half_done() {
    split(1, Some(2));
}

#[test]
fn nobody_sees_a_boundary_half_moved() {
    grow(1, None);
    grow(2, Some(2));
}

#[test]
fn a_discarded_image_never_comes_back() {
    discard_image(1, Some(4));
    discard_image(2, Some(1));
}

#[test]
fn pages_are_counted_or_open() {
    open(1, None);
    open(2, Some(1));
}

#[test]
fn what_is_opened_during_an_operation_is_as_the_operation_says() {
    open_during(Some(2), |shared| shared.discard(pages(0, 3)));
    open_during(Some(2), |shared| shared.protect(pages(0, 1), Protection::ReadOnly));
    open_during(Some(2), |shared| {
        shared.space.grow(4, &shared.pool, &shared.truth).unwrap();
        shared.touch(3, Access::Write);
    });
    open_during(Some(2), |shared| {
        shared.space.reset(1, &shared.pool, &shared.truth).unwrap();
    });
}

#[test]
fn page_states_are_true_after_a_racing_discard() {
    discard(1, None);
    discard(2, Some(2));
}

#[test]
fn no_page_is_brought_into_a_range_given_back() {
    teardown(1, Some(2));
}

#[test]
fn a_stale_fault_does_nothing_to_the_next_owner() {
    reuse(Some(1));
}

#[test]
fn a_stale_fault_does_nothing_to_the_next_life() {
    rebirth(0, Some(1));
    rebirth(1, Some(0));
}

#[test]
fn nobody_sees_a_first_grow_half_done() {
    first_grow(Some(3));
}

#[test]
fn a_reused_vma_never_looks_untouched() {
    reuse_of_a_vma(None);
}

/// Whether some scenario fails with `mutant`.
pub(super) fn is_caught(mutant: Mutant, scenario: fn()) -> bool {
    mutate(mutant);
    let caught = std::panic::catch_unwind(scenario).is_err();
    mutate(Mutant::None);
    caught
}

#[test]
fn a_recount_during_faults() {
    recount(1, None);
    recount(2, Some(2));
}
