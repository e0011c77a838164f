//! What no pattern may exceed: 1.05 times what the kernel's own paging costs, or 30 µs more in all; and twice as much in
//! memory as the peer has, or 64 KiB more. [`MISSES`] are the exceptions.
//!
//! `cargo test -p seqfault-mm --lib simulation::bars -- --nocapture` prints the tables, losses first. `SEQFAULT_SEED` repeats
//! drawn patterns, `SEQFAULT_DRAWN` says how many are drawn.

use super::patterns::{Pattern, drawn, fixed, recorded};
use super::prices::Prices;
use super::replay::{Setup, Work, replay};
use crate::PagerKind;
use crate::space::{GRANULE_PAGES, Huge};

const COST: f64 = 1.05;
/// What is no loss for each run of a pattern, in faults of the kernel: 30 µs where one takes 1.4 µs, on an idle machine.
const SLACK: f64 = 30.0 / 1.4;

/// Drawn patterns are small and do several things. So one of fifty may exceed its bars by a quarter, and hardly any by more
/// than this.
const DRAWN: f64 = 2.0;

/// Patterns that miss the bar of cost, with the most that they may cost, and why.
const MISSES: [(&str, f64, &str); 3] = [
    (
        "sort",
        1.55,
        "where huge pages are given: its first 128 KiB are closed, so the rest of their 2 MiB comes in small pages",
    ),
    (
        "loads alone",
        1.9,
        "the kernel maps one page of zeroes everywhere, and this crate cannot know that no store will follow",
    ),
    ("random, 1%", 1.08, "327 touches do not make up for four signals and 15 pages"),
];

/// Pages of a huge page.
const STRIPE_PAGES: usize = 512;

/// Each pager under each setting of huge pages.
const SETTINGS: [(PagerKind, Huge); 6] = [
    (PagerKind::Uffd, Huge::Never),
    (PagerKind::Protect, Huge::Never),
    (PagerKind::Uffd, Huge::Asked),
    (PagerKind::Protect, Huge::Asked),
    (PagerKind::Uffd, Huge::Given),
    (PagerKind::Protect, Huge::Given),
];

/// A pattern on a pager.
pub(super) struct Row {
    name: String,
    setup: Setup,
    ours: Work,
    peer: Work,
    cost: f64,
    peer_cost: f64,
    slack: f64,
}

impl Row {
    pub(super) fn new(pattern: &Pattern, setup: Setup, prices: &Prices) -> Self {
        let ours = replay(&pattern.events, setup);
        let peer = replay(&pattern.events, Setup::peer(setup.huge));
        let (cost, peer_cost) = (prices.of(&ours), prices.of(&peer));
        let slack = SLACK * prices.fault * pattern.runs as f64;
        Self { name: pattern.name.clone(), setup, ours, peer, cost, peer_cost, slack }
    }

    pub(super) fn ratio(&self) -> f64 {
        self.cost / self.peer_cost
    }

    /// How far the cost is beyond its bar: above 1, it is missed.
    fn excess(&self) -> f64 {
        self.cost / (self.peer_cost * COST).max(self.peer_cost + self.slack)
    }

    /// The same of what is resident.
    fn resident(&self) -> f64 {
        let peer = self.peer.resident;
        self.ours.resident as f64 / (2 * peer).max(peer + GRANULE_PAGES) as f64
    }

    pub(super) fn misses(&self) -> bool {
        self.excess() > 1.0 || self.resident() > 1.0
    }

    /// Whether no more is missed than one huge page: as with "sort", the first pages of a memory of less than 2 MiB keep its
    /// first stripe in small pages, where the peer is given a huge one.
    fn lacks_a_huge_page(&self, prices: &Prices) -> bool {
        let stripe = STRIPE_PAGES as f64 * prices.fault;
        self.setup.huge == Huge::Given
            && self.cost < self.peer_cost + self.slack + stripe
            && self.resident() <= 1.0
    }

    fn print(&self) {
        let Setup { kind, huge } = self.setup;
        let (ours, peer) = (&self.ours, &self.peer);
        println!(
            "{:5.2} {:8.1} µs more, resident {:6} to {:6}, {:4} signals, {:4} mappings, {:8} {:6} {}{}",
            self.ratio(),
            (self.cost - self.peer_cost) / 1000.0,
            ours.resident,
            peer.resident,
            ours.signals,
            ours.mappings,
            format!("{kind:?}"),
            format!("{huge:?}"),
            self.name,
            if self.misses() { " MISSED" } else { "" },
        );
    }
}

/// All patterns on both pagers under each setting of huge pages, the greatest loss first. Returns those that miss a bar.
fn table(patterns: &[Pattern], prices: &Prices) -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, huge) in SETTINGS {
        let of = |pattern| Row::new(pattern, Setup { kind, huge }, prices);
        rows.extend(patterns.iter().map(of));
    }
    rows.sort_by(|one, other| other.excess().total_cmp(&one.excess()));
    rows.iter().for_each(Row::print);
    rows.retain(Row::misses);
    rows
}

fn all_meet_the_bars(patterns: &[Pattern]) {
    let missed = table(patterns, &Prices::MEASURED);
    for row in &missed {
        let known = MISSES.iter().find(|(name, ..)| *name == row.name);
        let costs_little = row.ratio() <= known.map_or(0.0, |(_, most, _)| *most);
        assert!(costs_little && row.resident() <= 1.0, "{}, {:?}", row.name, row.setup);
    }
    for (name, ..) in &MISSES {
        let is_here = patterns.iter().any(|pattern| pattern.name == *name);
        assert!(!is_here || missed.iter().any(|row| row.name == *name), "{name} meets its bar now");
    }
}

#[test]
fn recorded_programs_cost_what_the_kernels_paging_costs_at_most() {
    all_meet_the_bars(&recorded());
}

#[test]
fn fixed_patterns_cost_what_the_kernels_paging_costs_at_most() {
    all_meet_the_bars(&fixed());
}

#[test]
fn growth_that_is_always_touched_comes_with_the_grow() {
    let fixed = fixed();
    let name = "grow by 64 KiB, 16 stores";
    let pattern = fixed.iter().find(|pattern| pattern.name == name).expect("listed");
    for kind in [PagerKind::Uffd, PagerKind::Protect] {
        let row = Row::new(pattern, Setup { kind, huge: Huge::Never }, &Prices::MEASURED);
        row.print();
        let growths = row.ours.growths;
        assert!(row.ours.signals * 10 < growths, "{} signals, {growths} growths", row.ours.signals);
        assert!(row.ours.resident <= row.peer.resident + GRANULE_PAGES);
        assert!(row.ratio() < if kind == PagerKind::Uffd { 0.8 } else { 1.02 });
    }
}

/// Patterns drawn by the seed, those that miss a bar.
fn drawn_that_miss(seed: u64, count: usize) -> Vec<Row> {
    println!("SEQFAULT_SEED={seed}");
    let mut missed = table(&drawn(seed, count), &Prices::MEASURED);
    missed.retain(|row| !row.lacks_a_huge_page(&Prices::MEASURED));
    let far = missed.iter().filter(|row| row.excess().max(row.resident()) > 1.25).count();
    assert!(far * 50 <= count.max(50) * SETTINGS.len(), "{far} of {count} patterns");
    missed
}

#[test]
fn drawn_patterns_cost_what_the_kernels_paging_costs_at_most() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let clock = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_secs());
    let seed = number("SEQFAULT_SEED").unwrap_or_else(clock);
    drawn_that_miss(seed, number("SEQFAULT_DRAWN").unwrap_or(100) as usize);
}

/// Not true of all: of 212,300 drawn patterns (2,123 seeds) 7 exceeded it. They touch few pages after a short sequence, or
/// after a discard, such as seed 900253264.
#[test]
fn hardly_any_drawn_pattern_costs_twice_its_bar() {
    for seed in 1..=20 {
        for row in drawn_that_miss(seed, 100) {
            assert!(row.excess().max(row.resident()) < DRAWN, "{}, {:?}", row.name, row.setup);
        }
    }
}
