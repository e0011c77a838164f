//! The same patterns on real regions: whether as many signals are raised and as many pages become resident as the
//! simulation says; and, with `SEQFAULT_MEASURE=1`, whether they take as long, in proportion to the peer.

use std::ptr;

use super::patterns::{Pattern, fixed, recorded};
use super::prices::{self, Prices};
use super::replay::{self, Setup};
use super::trace::Event;
use crate::space::{Huge, PAGE};
use crate::sys::{self, LINUX, Sys};
use crate::{Image, PagerKind, Protection, Region, RegionOptions, process};

/// Nanoseconds of the thread's processor time that `work` takes.
pub(super) fn time(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let start = now();
    work();
    now() - start
}

/// A mapping of one's own, at a multiple of 2 MiB.
pub(super) struct Mapped {
    base: usize,
    len: usize,
}

impl Mapped {
    pub(super) fn new(len: usize, allowed: Protection) -> Self {
        let base = LINUX.reserve(len, 2 << 20).expect("room");
        LINUX.protect(base, len, allowed).expect("reserved");
        Self { base, len }
    }

    pub(super) fn addr(&self, page: usize) -> usize {
        self.base + page * PAGE
    }

    pub(super) fn store(&self, page: usize) {
        // SAFETY: inside of the mapping; callers have made it writable.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(self.addr(page)).write_volatile(1) };
    }

    pub(super) fn load(&self, page: usize) {
        // SAFETY: inside of the mapping; callers have made it readable.
        let _ = unsafe { ptr::with_exposed_provenance::<u8>(self.addr(page)).read_volatile() };
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        LINUX.release_or_park(self.base, self.len);
    }
}

fn region(pattern: &Pattern, kind: PagerKind, huge: bool) -> Region {
    let options = RegionOptions::new(replay::accessible(&pattern.events) * PAGE);
    options.guard(1 << 20).pager(kind).huge_pages(huge).build().expect("room")
}

/// Does `events` to a region.
fn play(region: &Region, image: &Image, events: &[Event]) {
    for event in events {
        match event {
            // SAFETY: traces stay inside of what is accessible.
            Event::Load(page) => unsafe {
                region.base().add(page * PAGE).read_volatile();
            },
            // SAFETY: as above.
            Event::Store(page) => unsafe { region.base().add(page * PAGE).write_volatile(1) },
            Event::Grow(pages) => region.grow(region.accessible() + pages * PAGE).expect("room"),
            Event::Image(pages) => {
                let part = image.part(0..pages.len() * PAGE).expect("large enough");
                region.attach_image(pages.start * PAGE, &part).expect("accessible");
            }
            Event::Discard(pages) => {
                region.discard(pages.start * PAGE..pages.end * PAGE).expect("accessible");
            }
        }
    }
}

fn image(events: &[Event]) -> Image {
    let len = |event: &Event| if let Event::Image(pages) = event { pages.len() } else { 1 };
    let most = events.iter().map(len).max().unwrap_or(1);
    Image::from_pieces(most * PAGE, [(0, [1].as_slice())]).expect("room")
}

/// The pagers of this host.
fn kinds() -> impl Iterator<Item = PagerKind> {
    let kinds = [PagerKind::Uffd, PagerKind::Protect];
    kinds.into_iter().filter(|kind| kind.resolve(process::current().unwrap()).is_ok())
}

#[test]
fn real_regions_raise_the_signals_that_the_simulation_says() {
    for kind in kinds() {
        for pattern in recorded().into_iter().chain(fixed()) {
            let work = replay::replay(&pattern.events, Setup { kind, huge: Huge::Never });
            let region = region(&pattern, kind, false);
            play(&region, &image(&pattern.events), &pattern.events);
            let counters = region.counters();
            let signals = (counters.speculative + counters.classic) as usize;
            assert_eq!(signals, work.signals, "{kind:?}, {}", pattern.name);
        }
    }
}

#[test]
fn real_regions_take_as_long_as_the_simulation_says() {
    if std::env::var_os("SEQFAULT_MEASURE").is_none() {
        return;
    }
    let prices = prices::measure();
    println!("{prices:#?}");
    let huge = sys::huge_pages();
    let mut errors = Vec::new();
    for pattern in recorded().into_iter().chain(fixed()) {
        for kind in kinds() {
            let simulated = ratio(&pattern, kind, huge, &prices);
            let fixed = ratio(&pattern, kind, huge, &Prices::MEASURED);
            let real = measured_ratio(&pattern, kind);
            let error = simulated / real - 1.0;
            errors.push(error.abs());
            let name = &pattern.name;
            println!(
                "{name:36} {kind:8?} simulated {simulated:5.2} ({fixed:5.2}) measured {real:5.2} error {error:+.2}"
            );
        }
    }
    errors.sort_by(f64::total_cmp);
    let share = |part: usize| errors[(errors.len() - 1) * part / 100];
    println!(
        "errors: median {:.2}, 90% at most {:.2}, most {:.2}",
        share(50),
        share(90),
        share(100)
    );
    assert!(share(50) < 0.15, "the simulation says nothing about this machine");
}

fn ratio(pattern: &Pattern, kind: PagerKind, huge: Huge, prices: &Prices) -> f64 {
    let cost = |setup| prices.of(&replay::replay(&pattern.events, setup));
    cost(Setup { kind, huge }) / cost(Setup::peer(huge))
}

/// The median of rounds in which each does the pattern once.
fn measured_ratio(pattern: &Pattern, kind: PagerKind) -> f64 {
    let image = image(&pattern.events);
    let is_touch = |event: &Event| matches!(event, Event::Load(_) | Event::Store(_));
    let first = pattern.events.iter().position(is_touch).unwrap_or(0);
    let (before, counted) = pattern.events.split_at(first);
    let once = |kind| {
        let region = region(pattern, kind, true);
        play(&region, &image, before);
        time(|| play(&region, &image, counted))
    };
    let mut ratios: Vec<f64> = (0..9).map(|_| once(kind) / once(PagerKind::Demand)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
