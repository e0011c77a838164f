//! A space on a simulated system, beside a naive model of it: an array of page states.
//!
//! Every operation is done to both. What the model says of an access (its value, or why it is denied) must be what the
//! processor finds, faults included.

use std::ptr::NonNull;

use crate::error::{Error, Result};
use crate::pager::{Demand, Eager, Pager, Protect, Uffd};
use crate::space::{
    Blueprint, Budget, GRANULE_PAGES, Huge, Opening, Outcome, PAGE, PageRange, Policy, Pool,
    Pristine, Space,
};
use crate::sys::{Fake, IMAGE_VALUE, IMAGE_VIEW, ImagePart};
use crate::{Access, FaultKind, PagerKind, Protection};

/// Pages that may become accessible: more than two stripes, and no whole granule at the end of use.
pub(super) const MAXIMUM: usize = 1104;
const TOTAL: usize = MAXIMUM + 48;
const BASE: usize = 1 << 40;

/// What the model knows of a page inside the accessible part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Page {
    value: u64,
    protection: Protection,
}

const FRESH: Page = Page { value: 0, protection: Protection::ReadWrite };

/// A budget, and what others are charged for in it.
struct Shared {
    budget: Box<Budget>,
    ballast: usize,
}

/// How many runs of pages a recount may leave.
const RUNS: usize = 100;
/// Pages of the budget: enough for windows to be opened while others need nothing.
const BUDGET: usize = 20_000;

/// Space, system and model.
pub(super) struct World<'a> {
    /// Boxed: VMAs know their space by its address.
    pub(super) space: Box<Space>,
    pub(super) sys: &'a Fake,
    pager: Box<dyn Pager + 'a>,
    pool: Pool,
    /// Its length is the accessible length.
    pub(super) model: Vec<Page>,
    limit: usize,
    budget: Option<Shared>,
    next_value: u64,
    /// What a rewind brings back, and what the model was then.
    pristine: (Pristine, Vec<Page>),
}

/// The system that a world needs.
pub(super) fn system() -> Fake {
    Fake::new(BASE, TOTAL)
}

impl<'a> World<'a> {
    /// With a limit, nothing is opened.
    pub(super) fn new(sys: &'a Fake, kind: PagerKind, shards: usize, limit: Option<usize>) -> Self {
        let opening = if limit.is_some() { Opening::Never } else { Opening::OnEvidence };
        Self::with_policy(sys, kind, shards, limit, kind.policy(opening).huge(Huge::Asked))
    }

    /// Whose space shares a budget.
    pub(super) fn with_budget(sys: &'a Fake, kind: PagerKind, shards: usize) -> Self {
        let policy = kind.policy(Opening::OnEvidence).huge(Huge::Asked);
        let budget = Shared { budget: Box::new(Budget::new(BUDGET)), ballast: 0 };
        Self::with(sys, kind, shards, None, policy, Some(budget))
    }

    pub(super) fn with_policy(
        sys: &'a Fake,
        kind: PagerKind,
        shards: usize,
        limit: Option<usize>,
        policy: Policy,
    ) -> Self {
        Self::with(sys, kind, shards, limit, policy, None)
    }

    fn with(
        sys: &'a Fake,
        kind: PagerKind,
        shards: usize,
        limit: Option<usize>,
        policy: Policy,
        budget: Option<Shared>,
    ) -> Self {
        let pager: Box<dyn Pager + 'a> = match kind {
            PagerKind::Uffd => Box::new(Uffd::new(sys)),
            PagerKind::Eager => Box::new(Eager::new(sys)),
            PagerKind::Demand => Box::new(Demand::new(sys)),
            _ => Box::new(Protect::new(sys)),
        };
        let limit = limit.unwrap_or(usize::MAX);
        let space = Box::new(Space::new());
        let pool = Pool::new();
        pager.attach(BASE, MAXIMUM * PAGE).unwrap();
        space
            .create(
                &Blueprint {
                    base: BASE,
                    maximum: MAXIMUM,
                    total: TOTAL,
                    limit,
                    budget: budget.as_ref().map(|shared| NonNull::from(&*shared.budget)),
                    shards,
                    policy,
                    speculation: true,
                },
                &pool,
            )
            .unwrap();
        let pristine = (space.pristine(Vec::new()), Vec::new());
        let model = Vec::new();
        Self { space, sys, pager, pool, model, limit, budget, next_value: 1, pristine }
    }

    /// Loads or stores as a thread would, faults included: the value, or why not.
    pub(super) fn access(
        &self,
        page: usize,
        store: Option<u64>,
    ) -> std::result::Result<u64, FaultKind> {
        for _ in 0..6 {
            match self.sys.touch(page, store) {
                Ok(value) => return Ok(value),
                Err(access) => {
                    match self.space.handle_fault(
                        BASE + page * PAGE + 8,
                        access,
                        &*self.pager,
                        &self.pool.readers().enter(),
                    ) {
                        Outcome::Resolved | Outcome::Present => {}
                        Outcome::Claimed => panic!("page {page} is claimed by nobody"),
                        Outcome::Denied(kind) => return Err(kind),
                        Outcome::NoRoom if self.make_room(1) => {}
                        Outcome::NoRoom => return Err(FaultKind::ResidentLimit),
                        Outcome::NotOurs => panic!("a living space was not found"),
                    }
                }
            }
        }
        panic!("page {page} faults again and again");
    }

    /// Tells the model of a store that `access` did.
    pub(super) fn wrote(&mut self, page: usize, value: u64) {
        self.model[page].value = value;
    }

    /// What an access to `page` must be denied for.
    fn denial(&self, page: usize, write: bool) -> Option<FaultKind> {
        match self.model.get(page).map(|page| page.protection) {
            None => Some(FaultKind::OutOfBounds),
            Some(Protection::NoAccess) => Some(FaultKind::Protection),
            Some(Protection::ReadOnly) if write => Some(FaultKind::Protection),
            Some(_) => None,
        }
    }

    /// Loads or stores and compares with the model. `refusals` says whether the system may refuse.
    pub(super) fn touch(&mut self, page: usize, write: bool, refusals: bool) {
        let store = write.then_some(self.next_value);
        self.next_value += 1;
        if !self.pager.faults() {
            let access = if write { Access::Write } else { Access::Read };
            let admitted = self.space.admits(
                PageRange::new(page, page + 1),
                access,
                &self.pool.readers().enter(),
            );
            let denial = self.denial(page, write);
            assert_eq!(admitted.err().map(|(kind, _)| kind), denial, "page {page}");
            let faulted = self.sys.touch(page, None).is_err();
            assert_eq!(faulted, self.denial(page, false).is_some(), "page {page}");
        }
        let result = self.access(page, store);
        match (self.denial(page, write), result) {
            (Some(expected), result) => assert_eq!(result, Err(expected), "page {page}"),
            (None, Ok(value)) => {
                if let Some(value) = store {
                    self.model[page].value = value;
                }
                assert_eq!(value, self.model[page].value, "page {page}");
            }
            (None, Err(FaultKind::ResidentLimit)) => {
                assert!(
                    self.space.resident() >= self.limit || self.room() == 0,
                    "denied below the limit"
                );
            }
            (None, Err(FaultKind::OutOfMemory)) => {
                assert!(refusals, "out of memory without a refusal")
            }
            (None, Err(kind)) => panic!("page {page} is denied for {kind:?}"),
        }
    }

    pub(super) fn grow(&mut self, pages: usize) -> Result<()> {
        let result = self.space.grow(pages, &self.pool, &*self.pager);
        if result.is_ok() && pages > self.model.len() {
            self.model.resize(pages, FRESH);
        }
        assert_eq!(pages > MAXIMUM, matches!(result, Err(Error::BeyondMaximum)));
        assert_eq!(self.space.accessible(), self.model.len());
        result
    }

    pub(super) fn discard(&mut self, range: PageRange) -> Result<()> {
        let result = self.space.discard(range, &self.pool, &*self.pager);
        self.settle(range, &result, |_, page| Page { value: 0, ..page });
        result
    }

    pub(super) fn attach_image(&mut self, range: PageRange, first: usize) -> Result<()> {
        let image = ImagePart { fd: 0, offset: first * PAGE };
        let delta = (IMAGE_VIEW + first * PAGE).wrapping_sub(BASE + range.start * PAGE);
        let result = self.space.attach_image(range, image, delta, &self.pool, &*self.pager);
        self.settle(range, &result, |index, page| Page {
            value: IMAGE_VALUE + (first + index) as u64,
            ..page
        });
        result
    }

    pub(super) fn protect(&mut self, range: PageRange, to: Protection) -> Result<()> {
        let result = self.space.protect(range, to, &self.pool, &*self.pager);
        if result.is_ok() {
            self.model[range.start..range.end].iter_mut().for_each(|page| page.protection = to);
        } else if range.end <= self.model.len() {
            self.adopt_protections(range, to);
        }
        assert_eq!(range.end > self.model.len(), matches!(result, Err(Error::OutOfRange)));
        result
    }

    /// After a failure: each page is protected as before, or, if that was refused as well, as wanted.
    fn adopt_protections(&mut self, range: PageRange, wanted: Protection) {
        for page in range.start..range.end {
            let now = self.space.protection(page).expect("inside");
            assert!([self.model[page].protection, wanted].contains(&now), "page {page}: {now:?}");
            self.model[page].protection = now;
        }
    }

    pub(super) fn reset(&mut self, pages: usize) -> Result<()> {
        let result = self.space.reset(pages, &self.pool, &*self.pager);
        if result.is_ok() {
            self.model = vec![FRESH; pages];
        } else {
            let all = PageRange::new(0, self.model.len());
            self.settle(all, &result, |_, page| Page { value: 0, ..page });
        }
        assert_eq!(self.space.accessible(), self.model.len());
        result
    }

    /// Makes a fresh space of `pages` pages with an image and a protected range what a rewind brings back.
    pub(super) fn found(
        &mut self,
        pages: usize,
        image: (PageRange, usize),
        protected: (PageRange, Protection),
    ) -> Result<()> {
        self.reset(pages)?;
        let (range, first) = image;
        self.attach_image(range, first)?;
        self.protect(protected.0, protected.1)?;
        let part = ImagePart { fd: 0, offset: first * PAGE };
        let delta = (IMAGE_VIEW + first * PAGE).wrapping_sub(BASE + range.start * PAGE);
        self.pristine = (self.space.pristine(vec![(range, part, delta)]), self.model.clone());
        Ok(())
    }

    /// Brings back what was founded last; after a failure, a fresh space of the same length.
    pub(super) fn rewind(&mut self, keep: usize, sheds: bool) -> Result<()> {
        let (pristine, model) = self.pristine.clone();
        match self.space.rewind(&pristine, keep, sheds, &self.pool, &*self.pager) {
            Ok(kept) => {
                assert!(kept <= keep + GRANULE_PAGES, "{kept} pages stay, {keep} should at most");
                let charged = self.space.resident();
                assert!(!self.pager.brings_pages() || charged <= kept, "{charged} of {kept}");
                self.model = model;
                Ok(())
            }
            Err(error) => {
                self.sys.stop_failing();
                self.reset(model.len()).unwrap();
                Err(error)
            }
        }
    }

    /// Brings the model up to date after an operation on contents. Where it failed, each page must be as before or as
    /// after; the model takes over which.
    fn settle(
        &mut self,
        range: PageRange,
        result: &Result<()>,
        after: impl Fn(usize, Page) -> Page,
    ) {
        match result {
            Ok(()) => {
                for page in range.start..range.end {
                    self.model[page] = after(page - range.start, self.model[page]);
                }
            }
            Err(Error::System { .. }) => {
                self.sys.stop_failing();
                for page in range.start..range.end.min(self.model.len()) {
                    if self.denial(page, false).is_some() {
                        // Not to be looked at: whatever it holds is seen when the protection allows it.
                        self.model[page] = self.peek_through(page, &after, range.start);
                    } else if let Ok(value) = self.access(page, None) {
                        let expected = [
                            self.model[page].value,
                            after(page - range.start, self.model[page]).value,
                            0,
                        ];
                        assert!(
                            expected.contains(&value),
                            "page {page} holds {value}, none of {expected:?}"
                        );
                        self.model[page].value = value;
                    }
                }
            }
            Err(_) => assert!(range.end > self.model.len()),
        }
    }

    /// The state of a page that may not be read: made readable for a moment.
    fn peek_through(
        &mut self,
        page: usize,
        after: impl Fn(usize, Page) -> Page,
        start: usize,
    ) -> Page {
        let one = PageRange::new(page, page + 1);
        let before = self.model[page];
        self.space.protect(one, Protection::ReadWrite, &self.pool, &*self.pager).unwrap();
        let value = self.access(page, None).unwrap_or(before.value);
        self.space.protect(one, before.protection, &self.pool, &*self.pager).unwrap();
        assert!(
            [before.value, after(page - start, before).value, 0].contains(&value),
            "page {page}"
        );
        Page { value, ..before }
    }

    /// `fault_in`, then touches without faults.
    pub(super) fn fault_in(&mut self, range: PageRange, write: bool, refusals: bool) {
        let access = if write { crate::Access::Write } else { crate::Access::Read };
        let resident = self.space.resident();
        let expected = (range.start..range.end)
            .find_map(|page| self.denial(page, write).map(|kind| (kind, page)));
        let fault_in =
            || self.space.fault_in(range, access, &*self.pager, &self.pool.readers().enter());
        let mut result = fault_in();
        if matches!(result, Err((FaultKind::ResidentLimit, _))) && self.make_room(range.len()) {
            result = fault_in();
        }
        let resident = if self.budget.is_some() { self.space.resident() } else { resident };
        match (expected, result) {
            (Some(expected), result) => {
                assert_eq!(result, Err(expected));
                assert_eq!(self.space.resident(), resident, "nothing was to be committed");
            }
            (None, Ok(())) => {
                for page in range.start..range.end {
                    assert_eq!(
                        self.sys.touch(page, None),
                        Ok(self.model[page].value),
                        "page {page}"
                    );
                }
            }
            (None, Err((FaultKind::ResidentLimit, _))) => {
                assert!(resident + range.len() > self.limit || range.len() > self.room());
                assert_eq!(self.space.resident(), resident, "nothing was to be committed");
            }
            (None, Err((kind, _))) => {
                assert!(refusals && kind == FaultKind::OutOfMemory, "{kind:?}")
            }
        }
    }

    /// The space is consistent, and no page can be touched that it does not count.
    pub(super) fn validate(&self) {
        self.space.validate();
        let Some(Shared { budget, ballast }) = &self.budget else { return };
        let charged = budget.charged() - ballast;
        assert_eq!(charged, self.space.charge_of_all(), "the charge is wrong");
        assert!(budget.charged() <= budget.limit(), "more is charged than there is");
        let present = self.sys.present(PageRange::new(0, TOTAL));
        assert!(
            present <= charged || self.space.is_doubtful(),
            "{present} pages are there, {charged} are charged"
        );
        assert!(
            charged <= present + budget.unproven() || self.space.is_doubtful(),
            "{present} pages are there, {charged} are charged, {} may be too much",
            budget.unproven()
        );
    }

    /// What the budget has left.
    fn room(&self) -> usize {
        self.budget.as_ref().map_or(usize::MAX, |shared| shared.budget.room())
    }

    /// What is done when the budget has no room. Whether there is room now.
    fn make_room(&self, pages: usize) -> bool {
        self.recount();
        self.room() >= pages
    }

    /// Others charge so much that `room` pages are left, at most.
    pub(super) fn leave_room(&mut self, room: usize) {
        let Some(Shared { budget, ballast }) = &mut self.budget else { return };
        budget.uncharge(std::mem::take(ballast));
        let more = budget.room().saturating_sub(room);
        assert!(budget.charge(more));
        *ballast = more;
    }

    /// A recount, which changes no contents.
    pub(super) fn recount(&self) {
        if let Some(Shared { budget, .. }) = &self.budget {
            budget.prove(|| self.space.recount(&*self.pager, &mut { RUNS }));
        }
    }

    /// After a rewind: gives back what is kept for the next user.
    pub(super) fn wait_for_user(&mut self) {
        if self.budget.is_none() {
            return;
        }
        self.space.set_idle(true);
        self.space.empty_if_idle(&*self.pager);
        let charge = self.space.charge_of_all();
        assert_ne!(self.space.set_idle(false), self.space.is_doubtful());
        // A VMA that is closed takes two others with it, at most, for which there may be no place.
        assert!(
            charge == 0 || self.space.is_doubtful() || self.space.places_for_spares() < 2,
            "{charge} pages stay charged"
        );
    }

    /// Compares every page with the model.
    pub(super) fn compare(&mut self) {
        for page in 0..TOTAL {
            // A call that was refused half-way may have made some accessible.
            if self.sys.is_reachable(page) && !self.space.is_doubtful() {
                assert!(
                    self.space.is_resident(page) || self.space.is_open(page),
                    "page {page} can be touched but is not counted"
                );
            }
        }
        for page in 0..self.model.len() {
            self.touch(page, false, false);
        }
        for page in self.model.len()..TOTAL {
            assert_eq!(self.access(page, None), Err(FaultKind::OutOfBounds), "page {page}");
        }
    }

    /// Ends the space: everything must be back in the pool.
    pub(super) fn destroy(&self) {
        self.space.destroy(&self.pool, |base, _| assert_eq!(base, BASE));
        self.space.validate();
        assert_eq!(self.pool.in_use(), 0, "something was not given back");
    }
}
