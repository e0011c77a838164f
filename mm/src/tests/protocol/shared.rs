//! What the threads of a scenario share: a space, and a pager whose page tables the model checker sees.

use std::ptr::NonNull;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};

use super::space::{Blueprint, Budget, Opening, Outcome, PAGE, PageRange, Policy, Pool, Space};
use crate::pager::{Commit, Mapped, Pager};
use crate::sys::{ImagePart, Run, Sys, SysError};
use crate::{Access, FaultKind, Protection};

pub(super) const BASE: usize = 1 << 30;
/// Another place, of the same size.
pub(super) const ELSEWHERE: usize = BASE + PAGES * PAGE;
/// Where the image seems to be.
const IMAGE: usize = 1 << 20;
const PAGES: usize = 4;

const BLUEPRINT: Blueprint = Blueprint {
    base: BASE,
    maximum: PAGES,
    total: PAGES,
    limit: usize::MAX,
    budget: None,
    shards: 1,
    policy: Policy::COARSE,
    speculation: true,
};

/// A page that holds nothing, zeroes, or the image.
pub(super) const ABSENT: usize = 0;
pub(super) const ZERO: usize = 1;
pub(super) const FROM_IMAGE: usize = 2;
/// A page that the kernel may bring at any time.
pub(super) const OPEN: usize = 3;

/// The pages as the processor sees them. Relaxed: whatever order there is must come from the protocol.
pub(super) struct Truth {
    pages: [AtomicUsize; PAGES],
    /// Set when the address range is given back.
    released: AtomicUsize,
}

impl Truth {
    fn new() -> Self {
        Self {
            pages: std::array::from_fn(|_| AtomicUsize::new(ABSENT)),
            released: AtomicUsize::new(0),
        }
    }

    fn set(&self, addr: usize, len: usize, to: usize) {
        let first = (addr - BASE) / PAGE;
        for page in &self.pages[first..first + len / PAGE] {
            page.store(to, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, page: usize) -> usize {
        self.pages[page].load(Ordering::Relaxed)
    }

    fn expect_open(&self, addr: usize, len: usize) {
        let first = (addr - BASE) / PAGE;
        for page in first..first + len / PAGE {
            assert_eq!(self.get(page), OPEN, "page {page} is taken for open");
        }
    }
}

impl Pager for Truth {
    fn system(&self) -> &dyn Sys {
        self
    }

    fn populate(&self, commit: &Commit) -> Result<usize, SysError> {
        assert_eq!(
            self.released.load(Ordering::Relaxed),
            0,
            "a page was brought into a range that was given back"
        );
        let first = (commit.addr - BASE) / PAGE;
        for page in first..first + commit.len / PAGE {
            assert_ne!(self.get(page), OPEN, "page {page} was opened before it was brought");
        }
        self.set(commit.addr, commit.len, if commit.source.is_some() { FROM_IMAGE } else { ZERO });
        Ok(commit.len)
    }

    fn protect(&self, _addr: usize, _len: usize, _to: Protection) -> Result<Mapped, SysError> {
        Ok(Mapped::Exactly)
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.set(addr, len, ABSENT);
        Ok(())
    }

    fn replace(&self, addr: usize, len: usize) -> Result<(), SysError> {
        Pager::zap(self, addr, len)
    }

    fn attach_image(&self, addr: usize, len: usize, _image: ImagePart) -> Result<(), SysError> {
        Pager::zap(self, addr, len)
    }

    fn open(&self, addr: usize, len: usize, _to: Protection) -> Result<(), SysError> {
        assert_eq!(self.released.load(Ordering::Relaxed), 0, "opened when it was given back");
        self.set(addr, len, OPEN);
        Ok(())
    }

    fn take_back(&self, addr: usize, len: usize) -> Result<Mapped, SysError> {
        self.expect_open(addr, len);
        self.set(addr, len, ABSENT);
        Ok(Mapped::Exactly)
    }

    fn brings_pages(&self) -> bool {
        true
    }

    fn close(&self, addr: usize, len: usize) -> Result<(), SysError> {
        Pager::zap(self, addr, len)
    }
}

/// What happens to open pages: they stay open.
impl Sys for Truth {
    fn protect(&self, addr: usize, len: usize, _to: Protection) -> Result<(), SysError> {
        self.expect_open(addr, len);
        Ok(())
    }

    fn zap(&self, addr: usize, len: usize) -> Result<(), SysError> {
        self.expect_open(addr, len);
        Ok(())
    }

    fn map_zero(&self, addr: usize, len: usize, _to: Protection) -> Result<(), SysError> {
        self.expect_open(addr, len);
        Ok(())
    }

    fn map_image(
        &self,
        addr: usize,
        len: usize,
        _image: ImagePart,
        _to: Protection,
    ) -> Result<(), SysError> {
        self.expect_open(addr, len);
        Ok(())
    }

    fn advise_huge(&self, addr: usize, len: usize, _huge: bool) {
        self.expect_open(addr, len);
    }

    fn collapse(&self, addr: usize, len: usize) {
        self.expect_open(addr, len);
    }

    fn register(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        unreachable!("the pager has a call of its own")
    }

    fn unregister(&self, _addr: usize, _len: usize) -> Result<(), SysError> {
        unreachable!("the pager has a call of its own")
    }

    fn copy(&self, _: usize, _: usize, _: Option<usize>) -> Result<usize, SysError> {
        unreachable!("the pager has a call of its own")
    }

    fn changed(
        &self,
        _: usize,
        _: usize,
        _: bool,
        _: usize,
        _: &mut [Run],
    ) -> Option<(usize, usize)> {
        unreachable!("only a rewind asks, and nobody else uses the space then")
    }

    fn contents(&self, _: usize, _: usize, _: bool) -> Option<[u64; 8]> {
        Some([0; 8])
    }

    fn restore(&self, _: usize, _: usize, _: Option<usize>) -> bool {
        unreachable!("only a rewind restores, and nobody else uses the space then")
    }
}

/// All of it.
pub(super) struct Shared {
    pub(super) space: Space,
    pub(super) truth: Truth,
    pub(super) pool: Pool,
    /// Boxed: the space knows it by its address.
    budget: Box<Budget>,
}

impl Shared {
    /// A space with `accessible` pages. Nothing is opened.
    pub(super) fn new(accessible: usize) -> Arc<Self> {
        Self::with(accessible, Policy::COARSE, false)
    }

    /// A space with `accessible` pages, whose first fault brings a page, and whose second opens the VMA.
    pub(super) fn opening(accessible: usize) -> Arc<Self> {
        Self::with(accessible, Policy::of_pages(1, 1).opening(Opening::OnEvidence), false)
    }

    /// The same, with a budget.
    pub(super) fn sharing(accessible: usize) -> Arc<Self> {
        Self::with(accessible, Policy::of_pages(1, 1).opening(Opening::OnEvidence), true)
    }

    /// Near the budget.
    pub(super) fn recount(&self) {
        self.space.recount(&self.truth, &mut { usize::MAX });
    }

    fn with(accessible: usize, policy: Policy, shares: bool) -> Arc<Self> {
        let budget = Box::new(Budget::new(1 << 20));
        let shared = Self { space: Space::new(), truth: Truth::new(), pool: Pool::new(), budget };
        let shared = Arc::new(shared);
        let budget = shares.then(|| NonNull::from(&*shared.budget));
        shared.space.create(&Blueprint { policy, budget, ..BLUEPRINT }, &shared.pool).unwrap();
        shared.space.grow(accessible, &shared.pool, &shared.truth).unwrap();
        shared
    }

    /// Ends the use.
    pub(super) fn die(&self) {
        self.space.destroy(&self.pool, |_, _| self.truth.released.store(1, Ordering::Relaxed));
    }

    /// Puts any space to use at any place, with what the pool has.
    pub(super) fn put_to_use(&self, space: &Space, base: usize, accessible: usize) {
        space.create(&Blueprint { base, ..BLUEPRINT }, &self.pool).unwrap();
        space.grow(accessible, &self.pool, &self.truth).unwrap();
    }

    pub(super) fn attach_image(&self, pages: PageRange) {
        let delta = IMAGE.wrapping_sub(BASE);
        self.space
            .attach_image(pages, ImagePart { fd: 0, offset: 0 }, delta, &self.pool, &self.truth)
            .unwrap();
    }

    pub(super) fn discard(&self, pages: PageRange) {
        self.space.discard(pages, &self.pool, &self.truth).unwrap();
    }

    pub(super) fn protect(&self, pages: PageRange, to: Protection) {
        self.space.protect(pages, to, &self.pool, &self.truth).unwrap();
    }

    /// A fault of the calling thread.
    pub(super) fn fault(&self, page: usize, access: Access) -> Outcome {
        self.space.handle_fault(
            BASE + page * PAGE,
            access,
            &self.truth,
            &self.pool.readers().enter(),
        )
    }

    /// A fault that must be resolved.
    pub(super) fn touch(&self, page: usize, access: Access) {
        let outcome = self.fault(page, access);
        assert!(
            matches!(outcome, Outcome::Resolved | Outcome::Claimed | Outcome::Present),
            "a false denial of page {page}: {outcome:?}"
        );
    }

    /// A fault that may be resolved or out of bounds, as the writer is racing.
    pub(super) fn try_touch(&self, page: usize, access: Access) {
        let outcome = self.fault(page, access);
        assert!(
            matches!(
                outcome,
                Outcome::Resolved
                    | Outcome::Claimed
                    | Outcome::Present
                    | Outcome::Denied(FaultKind::OutOfBounds)
            ),
            "page {page}: {outcome:?}"
        );
    }

    /// When all threads are done: the space is consistent, and the page states say what is true.
    pub(super) fn check(&self) {
        self.space.validate();
        let charged = self.budget.charged();
        assert!(charged == 0 || charged == self.space.charge_of_all(), "the charge is wrong");
        for page in 0..PAGES {
            let (resident, open) = (self.space.is_resident(page), self.space.is_open(page));
            let truth = self.truth.get(page);
            assert_eq!(resident, truth == ZERO || truth == FROM_IMAGE, "page {page}: {truth}");
            assert_eq!(open, truth == OPEN, "page {page}: {truth}");
        }
    }
}
