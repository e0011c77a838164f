//! Why a speculative fault gives up: each reason that one thread can bring about, seen and counted.

#![cfg(feature = "speculation")]

use std::cell::RefCell;

use crate::pager::{Commit, Mapped, Pager};
use crate::space::{Abort, Blueprint, Outcome, PAGE, PageRange, Policy, Pool, Space};
use crate::sys::{ImagePart, Sys, SysError};
use crate::{Access, FaultKind, Protection};

const BASE: usize = 1 << 40;

thread_local! {
    /// What a fault in the middle of a writer's section came to.
    static SEEN: RefCell<Vec<Result<Outcome, Abort>>> = const { RefCell::new(Vec::new()) };
}

/// Faults on page 1 of a space whenever the space asks for something, which is in the middle of its section.
struct Meddler<'a>(&'a Space, &'a Pool);

impl Meddler<'_> {
    fn meddle(&self) {
        let outcome = self.0.handle_speculative_fault(
            BASE + PAGE,
            Access::Write,
            &Refuser,
            &self.1.readers().enter(),
        );
        SEEN.with_borrow_mut(|seen| seen.push(outcome));
    }
}

impl Pager for Meddler<'_> {
    fn system(&self) -> &dyn Sys {
        unreachable!("nothing is open")
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        Ok(commit.len)
    }

    fn protect(&self, _addr: usize, _len: usize, _to: Protection) -> Result<Mapped, SysError> {
        self.meddle();
        Ok(Mapped::Exactly)
    }

    fn zap(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        self.meddle();
        Ok(())
    }

    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.zap(addr, len)
    }

    fn attach_image(&self, addr: usize, len: usize, _image: ImagePart) -> Result<(), SysError> {
        self.zap(addr, len)
    }

    fn close(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.zap(addr, len)
    }
}

/// Never brings a page.
struct Refuser;

const REFUSED: SysError = SysError { call: "test", errno: libc::ENOMEM };

impl Pager for Refuser {
    fn system(&self) -> &dyn Sys {
        unreachable!("nothing is open")
    }

    fn populate(&self, _commit: &Commit) -> Result<usize, SysError> {
        Err(REFUSED)
    }

    fn protect(&self, _addr: usize, _len: usize, _to: Protection) -> Result<Mapped, SysError> {
        Err(REFUSED)
    }

    fn zap(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        Err(REFUSED)
    }

    fn replace(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        Err(REFUSED)
    }

    fn attach_image(&self, _addr: usize, _len: usize, _image: ImagePart) -> Result<(), SysError> {
        Err(REFUSED)
    }

    fn close(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        Err(REFUSED)
    }
}

fn with_space(limit: usize, body: impl FnOnce(&Space, &Pool)) {
    let (space, pool) = (Box::new(Space::new()), Pool::new());
    space
        .create(
            &Blueprint {
                budget: None,
                base: BASE,
                maximum: 64,
                total: 64,
                limit,
                shards: 64,
                policy: Policy::COARSE,
                speculation: true,
            },
            &pool,
        )
        .unwrap();
    let meddler = Meddler(&space, &pool);
    space.grow(32, &pool, &meddler).unwrap();
    body(&space, &pool);
    space.validate();
}

fn seen() -> Vec<Result<Outcome, Abort>> {
    SEEN.take()
}

#[test]
fn a_fault_inside_a_discard_finds_the_pages_odd() {
    with_space(usize::MAX, |space, pool| {
        assert_eq!(
            space.handle_fault(BASE, Access::Write, &Meddler(space, pool), &pool.readers().enter()),
            Outcome::Resolved
        );
        space.discard(PageRange::new(0, 32), pool, &Meddler(space, pool)).unwrap();
        assert_eq!(seen(), [Err(Abort::PagesOdd)]);
    });
}

#[test]
fn a_fault_inside_a_change_of_protection_finds_the_bounds_odd() {
    with_space(usize::MAX, |space, pool| {
        space
            .protect(PageRange::new(0, 4), Protection::ReadOnly, pool, &Meddler(space, pool))
            .unwrap();
        assert_eq!(seen(), [Err(Abort::BoundsOdd)]);
    });
}

#[test]
fn a_fault_after_a_teardown_finds_the_structure_changed() {
    with_space(usize::MAX, |space, pool| {
        space.destroy(pool, |_, _| {});
        assert_eq!(
            space.handle_speculative_fault(
                BASE,
                Access::Read,
                &Meddler(space, pool),
                &pool.readers().enter()
            ),
            Err(Abort::StructureChanged)
        );
        assert_eq!(
            space.handle_fault(BASE, Access::Read, &Meddler(space, pool), &pool.readers().enter()),
            Outcome::NotOurs
        );
        assert_eq!((space.counters().structure_changed, space.counters().not_ours), (1, 1));
    });
}

#[test]
fn a_refusal_is_counted_and_becomes_a_denial() {
    with_space(usize::MAX, |space, pool| {
        let outcome = space.handle_fault(BASE, Access::Read, &Refuser, &pool.readers().enter());
        assert_eq!(outcome, Outcome::Denied(FaultKind::OutOfMemory));
        let counters = space.counters();
        assert_eq!((counters.pager_refused, counters.classic, counters.denied), (1, 1, 1));
        assert_eq!(space.resident(), 0);
    });
}

#[test]
fn the_limit_is_counted_and_becomes_a_denial() {
    with_space(0, |space, pool| {
        let outcome =
            space.handle_fault(BASE, Access::Read, &Meddler(space, pool), &pool.readers().enter());
        assert_eq!(outcome, Outcome::Denied(FaultKind::ResidentLimit));
        assert_eq!((space.counters().resident_limit, space.counters().attempts), (1, 1));
    });
}

#[test]
fn a_page_that_is_there_already_is_a_lost_claim() {
    with_space(usize::MAX, |space, pool| {
        for expected in [Outcome::Resolved, Outcome::Present] {
            assert_eq!(
                space.handle_fault(
                    BASE,
                    Access::Read,
                    &Meddler(space, pool),
                    &pool.readers().enter()
                ),
                expected
            );
        }
        let counters = space.counters();
        assert_eq!((counters.claim_lost, counters.speculative, counters.aborts()), (1, 2, 0));
    });
}
