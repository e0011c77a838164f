//! What a trace makes the system do.

use super::trace::Event;
use crate::PagerKind;
use crate::pager::{Demand, Pager, Protect, Uffd};
use crate::space::{
    Blueprint, GRANULE_PAGES, Huge, Opening, Outcome, PAGE, PageRange, Policy, Pool, Space,
};
use crate::sys::{Fake, IMAGE_VIEW, ImagePart, Tally};

const BASE: usize = 1 << 40;

/// How memory is paged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// `Uffd`, `Protect`, or `Demand` for the peer.
    pub(super) kind: PagerKind,
    /// Which memory gets huge pages.
    pub(super) huge: Huge,
}

impl Setup {
    /// The peer on the same system. It asks for nothing.
    pub(super) fn peer(huge: Huge) -> Self {
        Self { kind: PagerKind::Demand, huge }
    }

    fn policy(self) -> Policy {
        self.kind.policy(Opening::OnEvidence).huge(self.huge)
    }

    fn pager(self, sys: &Fake) -> Box<dyn Pager + '_> {
        match self.kind {
            PagerKind::Uffd => Box::new(Uffd::new(sys)),
            PagerKind::Demand => Box::new(Demand::new(sys)),
            _ => Box::new(Protect::new(sys)),
        }
    }
}

/// What was done, from the first growth to the last event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// By the system.
    pub(super) tally: Tally,
    /// Signals that were handled.
    pub(super) signals: usize,
    /// Growths.
    pub(super) growths: usize,
    /// Pages that were touched, and not given back since.
    pub(super) touched: usize,
    /// Pages that are in memory in the end.
    pub(super) resident: usize,
    /// Mappings that the reservation consists of in the end.
    pub(super) mappings: usize,
}

/// Replays `events`. What comes before the first touch is part of making a memory and not counted.
pub(super) fn replay(events: &[Event], setup: Setup) -> Work {
    let maximum = accessible(events).next_multiple_of(GRANULE_PAGES);
    let total = maximum + GRANULE_PAGES;
    let sys = Fake::new(BASE, total);
    if setup.huge == Huge::Given {
        sys.give_huge_pages();
    }
    let player = Player::new(&sys, setup, maximum, total);
    let mut work = Work::default();
    let mut touched = vec![false; maximum];
    let is_touch = |event: &Event| matches!(event, Event::Load(_) | Event::Store(_));
    let first = events.iter().position(is_touch).unwrap_or(0);
    for (at, event) in events.iter().enumerate() {
        if at == first {
            (work, _) = (Work::default(), sys.take_tally());
        }
        player.play(event, &mut work);
        match event {
            Event::Load(page) | Event::Store(page) => touched[*page] = true,
            Event::Image(pages) | Event::Discard(pages) => touched[pages.clone()].fill(false),
            Event::Grow(_) => {}
        }
    }
    work.tally = sys.take_tally();
    work.touched = touched.into_iter().filter(|&touched| touched).count();
    work.resident = sys.present(PageRange::new(0, total));
    work.mappings = sys.mappings();
    player.end();
    work
}

/// Pages that are accessible in the end.
pub(super) fn accessible(events: &[Event]) -> usize {
    let added = |event: &Event| if let Event::Grow(pages) = event { *pages } else { 0 };
    events.iter().map(added).sum()
}

/// A space on a system.
struct Player<'a> {
    /// Boxed: VMAs know their space by its address.
    space: Box<Space>,
    sys: &'a Fake,
    pager: Box<dyn Pager + 'a>,
    pool: Pool,
}

impl<'a> Player<'a> {
    fn new(sys: &'a Fake, setup: Setup, maximum: usize, total: usize) -> Self {
        let (space, pool, pager) = (Box::new(Space::new()), Pool::new(), setup.pager(sys));
        pager.attach(BASE, maximum * PAGE).unwrap();
        let blueprint = Blueprint {
            base: BASE,
            maximum,
            total,
            limit: usize::MAX,
            budget: None,
            shards: 256,
            policy: setup.policy(),
            speculation: true,
        };
        space.create(&blueprint, &pool).unwrap();
        Self { space, sys, pager, pool }
    }

    fn play(&self, event: &Event, work: &mut Work) {
        match event {
            Event::Load(page) => work.signals += self.touch(*page, None),
            Event::Store(page) => work.signals += self.touch(*page, Some(1)),
            Event::Grow(pages) => {
                work.growths += 1;
                let pages = self.space.accessible() + pages;
                self.space.grow(pages, &self.pool, &*self.pager).unwrap();
            }
            Event::Image(pages) => {
                let image = ImagePart { fd: 0, offset: 0 };
                let delta = IMAGE_VIEW.wrapping_sub(BASE + pages.start * PAGE);
                let range = PageRange::new(pages.start, pages.end);
                let attached =
                    self.space.attach_image(range, image, delta, &self.pool, &*self.pager);
                attached.unwrap();
            }
            Event::Discard(pages) => {
                let range = PageRange::new(pages.start, pages.end);
                self.space.discard(range, &self.pool, &*self.pager).unwrap();
            }
        }
    }

    /// How many signals the touch raises.
    fn touch(&self, page: usize, store: Option<u64>) -> usize {
        let mut signals = 0;
        while let Err(access) = self.sys.touch(page, store) {
            let reading = self.pool.readers().enter();
            let addr = BASE + page * PAGE;
            let outcome = self.space.handle_fault(addr, access, &*self.pager, &reading);
            assert_eq!(outcome, Outcome::Resolved, "page {page}");
            signals += 1;
        }
        signals
    }

    fn end(self) {
        self.space.validate();
        self.space.destroy(&self.pool, |_, _| {});
    }
}
