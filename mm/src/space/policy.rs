//! What a fault does: which window it brings, or which it leaves to the kernel. Pure arithmetic on the history of a
//! lane: no system call, no clock, no address. On one thread the same faults always have the same answers.
//!
//! # What is known
//!
//! A fault costs a signal. That pays where one fault brings many pages that will be used, and nowhere else: a page that
//! the kernel brings on touch costs less than a fault of ours that brings one. So a window grows only on evidence that
//! the pages before it were used, and everything that is not known to be a sequence is left to the kernel (*opened*).
//!
//! The evidence is the place of the fault. A window ends at an odd page (or, downwards, begins at one) wherever its
//! stripe lets it, and longer ones at another odd page of a granule for each length. A thread that touches every page
//! faults exactly there; one that touches every second, fourth, or 512th page, or the first few of every 16, passes it. A
//! window is about as long as the sequence that was proven before it, so about twice as much
//! becomes resident as is touched, at most. The region's first window is an exception: a granule, which is all that a
//! small program needs.
//!
//! # Huge pages
//!
//! The kernel brings a huge page on a touch in a range that is open and not populated yet, and brings it several times
//! as fast as we bring small ones. So where huge pages are to be asked for, a sequence that has proven a stripe is
//! continued by opening stripes ahead of it: each time about as many as are proven, with a few pages at the beginning
//! brought as a probe. Stripes that are never reached never become resident. Where the kernel gives huge pages unasked,
//! the second fault opens everything: peers, whose memory is open from the start, pay no signal either.
//!
//! # References
//! The kernel's readahead, whose windows grow on sequential reads alike: `mm/readahead.c`.

use super::primitive::{Ordering, PlainU64};
use super::types::{GRANULE_PAGES, PageRange, STRIPE_PAGES};

const MASK: u64 = 0xff_ffff_ffff;

/// The lengths of the windows that are opened one after another in a region, in pages. There are few, because each
/// costs as much as the kernel takes for several pages.
const OPENINGS: [usize; 4] = [STRIPE_PAGES, STRIPE_PAGES * 64, STRIPE_PAGES * 512, usize::MAX];

/// In a new range of at least this length (4 MiB), a fault looks for a sequence before it opens the range.
const WORTH_A_LOOK: usize = 1024;
/// Memory that grows behind an open range is opened by the grow, but not this time, and then not after twice as many times
/// each: a fault tells whether it is touched at all, and looks for a sequence, which may go on from one addition to the
/// next.
const LOOKS: usize = 4;

/// Whether the `growths`-th addition in a row behind an open range is left to faults.
pub(super) fn leaves_to_faults(growths: usize) -> bool {
    growths >= LOOKS && growths.is_power_of_two()
}

/// Whether faults may leave windows to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Never: the resident size is limited, or the embedder has chosen the windows.
    Never,
    /// When the touches are no sequence.
    OnEvidence,
}

/// Which open ranges get huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Huge {
    /// None.
    Never,
    /// Those for which they are asked for.
    Asked,
    /// All.
    Given,
}

/// How the faults of a region are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The smallest and the largest window, in pages: powers of two.
    least: usize,
    most: usize,
    /// Whether windows may be opened.
    opening: Opening,
    /// Which of them get huge pages.
    huge: Huge,
}

impl Policy {
    /// Windows from a granule to a stripe: for pagers whose windows cost mappings and no memory.
    pub(crate) const COARSE: Self = Self::of_pages(GRANULE_PAGES, STRIPE_PAGES);
    /// Windows from two pages to a stripe: for pagers that bring what is in the window.
    pub(crate) const FINE: Self = Self::of_pages(2, STRIPE_PAGES);

    /// Windows of the powers of two next to these numbers of pages, at least a page and at most a stripe. Nothing is
    /// opened.
    pub(crate) const fn of_pages(least: usize, most: usize) -> Self {
        let least = Self::size(least);
        let most = Self::size(most);
        Self {
            least,
            most: if most < least { least } else { most },
            opening: Opening::Never,
            huge: Huge::Never,
        }
    }

    /// The same, with `huge`.
    pub(crate) const fn huge(self, huge: Huge) -> Self {
        Self { huge, ..self }
    }

    /// The same, with `opening`.
    pub(crate) const fn opening(self, opening: Opening) -> Self {
        Self { opening, ..self }
    }

    const fn size(pages: usize) -> usize {
        match pages {
            0 => 1,
            STRIPE_PAGES.. => STRIPE_PAGES,
            _ => pages.next_power_of_two(),
        }
    }

    /// Whether windows may be opened.
    pub(crate) fn opens(self) -> bool {
        self.opening != Opening::Never
    }

    /// Whether the kernel brings huge pages in whatever is open.
    pub(crate) fn gets_huge_pages_unasked(self) -> bool {
        self.huge == Huge::Given
    }

    /// Whether `pages` pages that become accessible at once are left to the kernel: it gives huge pages to them, and a
    /// fault could only prevent that.
    pub(crate) fn opens_growth(self, pages: usize) -> bool {
        self.opens() && self.gets_huge_pages_unasked() && pages >= STRIPE_PAGES
    }

    /// As one word.
    pub(crate) fn to_bits(self) -> usize {
        self.least << 16 | self.most << 4 | (self.huge as usize) << 1 | usize::from(self.opens())
    }

    /// From `to_bits`.
    pub(crate) fn from_bits(bits: usize) -> Self {
        let opening = if bits & 1 == 0 { Opening::Never } else { Opening::OnEvidence };
        let huge = match bits >> 1 & 3 {
            0 => Huge::Never,
            1 => Huge::Asked,
            _ => Huge::Given,
        };
        Self { least: bits >> 16, most: bits >> 4 & 0xfff, opening, huge }
    }
}

/// How far a lane's sequence is proven. Ordered: a longer sequence is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stage(u64);

impl Stage {
    /// The lane has not faulted in the region.
    const NEW: Self = Self(0);
    /// The last window was opened.
    const OPENED: Self = Self(1);
    /// The last window is a first guess.
    const GUESS: Self = Self(2);
    /// The last window is a single page behind a first guess, to see whether the sequence goes on.
    const PROBE: Self = Self(3);
    /// The last window is a single page. From here on, each window is twice as long as the one before.
    const SINGLE: Self = Self(4);
    /// The last window is a granule.
    const GRANULE: Self = Self(4 + GRANULE_PAGES.ilog2() as u64);
    /// A stripe or more is proven: whole stripes come at once, and in every other one the first pages come alone, as a
    /// probe.
    const LONG: Self = Self(4 + STRIPE_PAGES.ilog2() as u64);
    const LONG_UNPROVEN: Self = Self(Self::LONG.0 + 1);
    const LONG_PROBED: Self = Self(Self::LONG.0 + 2);
    /// One stripe was opened for huge pages. From here on the stages are in pairs: stripes opened, twice as many in each
    /// pair, and the probe behind them.
    const HUGE: Self = Self(Self::LONG.0 + 3);
    /// The last pair, for 256 MiB.
    const HUGEST: Self = Self(Self::HUGE.0 + 2 * 7);

    /// The next stage after a probe behind opened stripes, with the number of stripes to open, that of the probe included:
    /// as many as are proven.
    fn next_huge(self) -> Option<(Self, usize)> {
        let behind = self.0.checked_sub(Self::HUGE.0)?;
        let next = Self(self.0 + 1).min(Self::HUGEST);
        (behind % 2 == 1).then(|| (next, 1 << ((next.0 - Self::HUGE.0) / 2)))
    }
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Bring a window.
    Bring(Window),
    /// Leave a window to the kernel.
    Open(Opened),
}

/// A window to leave to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The caller clips it to the VMA.
    pub(crate) pages: PageRange,
    /// Whether huge pages are asked for.
    pub(crate) huge: bool,
    /// The stage after it.
    stage: Stage,
}

/// A window to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Inside one stripe; the caller clips it to the VMA.
    pub(crate) pages: PageRange,
    /// The stage after it.
    stage: Stage,
}

impl Window {
    /// The smallest window that holds `page`.
    pub(crate) fn least(page: usize, policy: Policy) -> Self {
        Self::aligned(page, policy.least)
    }

    /// The page alone.
    pub(crate) fn alone(page: usize, policy: Policy) -> Self {
        Self { pages: PageRange::new(page, page + 1), ..Self::least(page, policy) }
    }

    fn granule(page: usize, policy: Policy) -> Self {
        Self::aligned(page, GRANULE_PAGES.clamp(policy.least, policy.most))
    }

    fn aligned(page: usize, pages: usize) -> Self {
        let first = page / pages * pages;
        Self { pages: PageRange::new(first, first + pages), stage: Stage::GUESS }
    }
}

/// What a lane remembers of its last window: its first page (40 bits) and the stage; its end; and where it would have ended
/// if its range were longer.
///
/// Relaxed: a torn pattern (two threads in one lane) only costs a window of another size.
pub(crate) struct Pattern {
    first: PlainU64,
    end: PlainU64,
    wanted: PlainU64,
}

/// What is known of the place of a fault, besides the lane's history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The page.
    pub(crate) page: usize,
    /// The VMA's pages.
    pub(crate) vma: PageRange,
    /// How many pages of its granule are resident.
    pub(crate) density: usize,
    /// Whether the region holds nothing and nothing of it is open.
    pub(crate) is_first: bool,
    /// How many windows of the region were opened.
    pub(crate) openings: usize,
    /// Whether the VMA became accessible after the last of them.
    pub(crate) is_new: bool,
}

/// A lane's last window.
#[derive(Clone, Copy, Debug)]
struct Last {
    pages: PageRange,
    stage: Stage,
}

impl Pattern {
    /// Nothing seen.
    pub(crate) fn new() -> Self {
        Self { first: PlainU64::new(0), end: PlainU64::new(0), wanted: PlainU64::new(0) }
    }

    /// Forgets what was seen.
    pub(crate) fn reset(&self) {
        self.first.store(0, Ordering::Relaxed);
        self.end.store(0, Ordering::Relaxed);
        self.wanted.store(0, Ordering::Relaxed);
    }

    /// What of `added`, which becomes accessible now, belongs to a window of a sequence that ended where memory did. It is
    /// brought at once: that much is proven.
    pub(crate) fn owed(&self, added: PageRange) -> Option<PageRange> {
        let wanted = self.wanted.load(Ordering::Relaxed) as usize;
        let follows = self.end.load(Ordering::Relaxed) as usize == added.start;
        (follows && wanted > added.start)
            .then(|| PageRange::new(added.start, wanted.min(added.end)))
    }

    /// Remembers that what was owed is present up to `end`.
    pub(crate) fn paid(&self, end: usize) {
        self.end.store(end as u64, Ordering::Relaxed);
    }

    /// Forgets what is owed: memory ends elsewhere now.
    pub(crate) fn owes_nothing(&self) {
        self.wanted.store(0, Ordering::Relaxed);
    }

    /// What to do about a fault at `place`.
    pub(crate) fn step(&self, place: &Place, policy: Policy) -> Step {
        let first = self.first.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed) as usize;
        let pages = PageRange::new((first & MASK) as usize, end);
        next_step(Last { pages, stage: Stage(first >> 40) }, place, policy)
    }

    /// Remembers that `window` was asked for and `got` was made present.
    pub(crate) fn brought(&self, window: Window, got: PageRange) {
        self.remember(got, window.stage, window.pages.end);
    }

    /// Remembers that `got` of a window was opened.
    pub(crate) fn opened(&self, window: Opened, got: PageRange) {
        self.remember(got, window.stage, 0);
    }

    fn remember(&self, pages: PageRange, stage: Stage, wanted: usize) {
        self.wanted.store(wanted as u64, Ordering::Relaxed);
        self.first.store(stage.0 << 40 | (pages.start as u64 & MASK), Ordering::Relaxed);
        self.end.store(pages.end as u64, Ordering::Relaxed);
    }
}

fn next_step(last: Last, place: &Place, policy: Policy) -> Step {
    let follows = |page| place.page == page && last.stage >= Stage::GUESS;
    if policy.huge == Huge::Given && policy.opens() && !place.is_first {
        let pages = PageRange::new(0, usize::MAX);
        return Step::Open(Opened { pages, huge: false, stage: Stage::OPENED });
    }
    for (next, direction) in
        [(last.pages.end, Direction::Up), (last.pages.start.wrapping_sub(1), Direction::Down)]
    {
        if follows(next) {
            let ahead = ahead(last, place, policy, direction).map(Step::Open);
            let step = || Step::Bring(continued(last, place.page, policy, direction));
            return ahead.unwrap_or_else(step);
        }
    }
    let long = place.vma.len() >= WORTH_A_LOOK;
    let looks = match last.stage {
        Stage::NEW => long,
        Stage::OPENED if place.is_new => long || place.page == place.vma.start,
        _ => false,
    };
    match policy.opening {
        _ if place.is_first => Step::Bring(Window::granule(place.page, policy)),
        Opening::Never if last.stage == Stage::NEW || place.density >= GRANULE_PAGES / 2 => {
            Step::Bring(Window::granule(place.page, policy))
        }
        Opening::Never => Step::Bring(Window::least(place.page, policy)),
        _ if looks => Step::Bring(single(place.page)),
        _ => open(place),
    }
}

/// A single page, to see whether the next one is touched, too.
fn single(page: usize) -> Window {
    Window { pages: PageRange::new(page, page + 1), stage: Stage::SINGLE }
}

/// The window to open, larger each time. It begins at a multiple of its length.
fn open(place: &Place) -> Step {
    let len = OPENINGS[place.openings.min(OPENINGS.len() - 1)];
    let first = place.page / len * len;
    let pages = PageRange::new(first, first.saturating_add(len));
    Step::Open(Opened { pages, huge: false, stage: Stage::OPENED })
}

/// The stripes to open for huge pages where a sequence goes on at `place.page`, if it is proven for long enough.
fn ahead(last: Last, place: &Place, policy: Policy, direction: Direction) -> Option<Opened> {
    let stripe = PageRange::stripe_of(place.page);
    if policy.huge != Huge::Asked || !policy.opens() || stripe.intersect(place.vma) != stripe {
        return None;
    }
    let (stage, stripes) = if last.stage < Stage::HUGE {
        let proven = last.stage.0 + 1 >= Stage::LONG.0 && direction.enters(place.page, stripe);
        proven.then_some((Stage::HUGE, 1))?
    } else {
        last.stage.next_huge()?
    };
    let len = stripes * STRIPE_PAGES;
    let pages = match direction {
        Direction::Up => PageRange::new(stripe.start, stripe.start.saturating_add(len)),
        Direction::Down => PageRange::new(stripe.end.saturating_sub(len), stripe.end),
    };
    Some(Opened { pages, huge: true, stage })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    /// Whether `page` is the first of `stripe`.
    fn enters(self, page: usize, stripe: PageRange) -> bool {
        match self {
            Self::Up => page == stripe.start,
            Self::Down => page + 1 == stripe.end,
        }
    }
}

/// The window from `page` on for a sequence whose last window was `last`.
fn continued(last: Last, page: usize, policy: Policy, direction: Direction) -> Window {
    let stripe = PageRange::stripe_of(page);
    let enters_stripe = direction.enters(page, stripe);
    let whole = policy.most;
    let (len, stage) = match last.stage {
        Stage::GUESS => (1, Stage::PROBE),
        Stage::PROBE => (GRANULE_PAGES, Stage::GRANULE),
        stage if stage < Stage::LONG => {
            let next = Stage(stage.0 + 1);
            (1 << (next.0 - Stage::SINGLE.0), next)
        }
        // Behind opened stripes, or in the middle of one, if it was cut off there.
        stage if stage >= Stage::HUGE && enters_stripe => (probe_length(page), Stage(stage.0 | 1)),
        stage if stage >= Stage::HUGE => (whole, stage),
        Stage::LONG_UNPROVEN if enters_stripe => (probe_length(page), Stage::LONG_PROBED),
        _ if enters_stripe => (whole, Stage::LONG_UNPROVEN),
        // What is left of a stripe after its probe.
        _ => (whole, Stage::LONG),
    };
    let least = if policy.opens() { 1 } else { policy.least };
    let len = len.clamp(least, policy.most);
    // Windows of one size are what the embedder asked for.
    let pages = run(page, len, Ends::of(len, least, policy.most), direction, stripe);
    // Cut off at the stripe, it proves less.
    let cut = last.stage < Stage::LONG && pages.len() <= len / 2 && pages.len() + 1 < len;
    Window { pages, stage: if cut { last.stage } else { stage } }
}

/// `len` pages from `page` on, inside of `stripe`; a few more or one less if the next fault of a sequence is to be in a place
/// that `ends` tells.
fn run(page: usize, len: usize, ends: Ends, direction: Direction, stripe: PageRange) -> PageRange {
    match direction {
        Direction::Up => {
            let end = page + len;
            PageRange::new(
                page,
                if end < stripe.end { ends.up(end).min(stripe.end) } else { stripe.end },
            )
        }
        Direction::Down => {
            let start = (page + 1).saturating_sub(len);
            let inside = start > stripe.start;
            let start = if inside { ends.down(start).max(stripe.start) } else { stripe.start };
            PageRange::new(start, page + 1)
        }
    }
}

/// Where a window may end.
#[derive(Clone, Copy)]
enum Ends {
    /// Where its length says.
    Anywhere,
    /// So that the next fault is at an odd page.
    Odd,
    /// So that the next fault is at this page of a granule, counted from its first page upwards and from behind its last one
    /// downwards.
    At(usize),
}

impl Ends {
    /// Each length of windows has another place of a granule, all of them odd: a thread that touches a few pages at the
    /// beginning of each granule passes them, too.
    fn of(len: usize, least: usize, most: usize) -> Self {
        match len {
            _ if len <= least => Self::Anywhere,
            _ if len >= most || len <= GRANULE_PAGES => Self::Odd,
            _ => Self::At([7, 5, 11, 13][len.ilog2() as usize % 4]),
        }
    }

    /// The end of a window upwards whose length says `end`, which is the next fault's page.
    fn up(self, end: usize) -> usize {
        match self {
            Self::Anywhere => end,
            Self::Odd => end - usize::from(end.is_multiple_of(2)),
            Self::At(place) => end + (place + GRANULE_PAGES - end % GRANULE_PAGES) % GRANULE_PAGES,
        }
    }

    /// The start of a window downwards whose length says `start`; the next fault is at the page before.
    fn down(self, start: usize) -> usize {
        let next = start - 1;
        match self {
            Self::Anywhere => start,
            Self::Odd => start + usize::from(next.is_multiple_of(2)),
            Self::At(place) => {
                let back = (next + place) % GRANULE_PAGES;
                start.saturating_sub(back).max(1)
            }
        }
    }
}

/// How many pages of the stripe that `page` enters are its probe: another number in each stripe.
fn probe_length(page: usize) -> usize {
    3 + 2 * (page / STRIPE_PAGES * 5 % 7)
}

#[cfg(test)]
mod tests;
