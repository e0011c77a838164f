//! Real threads: some touch random pages of one region while others grow, discard and protect it.
//!
//! Every page holds zero, its own tag, or (before its first discard) its image's tag, so a stale or foreign page shows at
//! once. Accesses are raw loads and stores: a denial that is not due, or one that is missing, fails the test.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use common::{Random, available, load, prepare, rss, store, stress_time};
use seqfault_mm::{FaultKind, Image, PAGE_SIZE, PagerKind, Protection, Region, RegionOptions};

/// Sequence counts of page states: as many as regions have unless told.
const SHARDS: usize = 256;
/// Pages that are accessible from the start, touched and discarded.
const OPEN: usize = 2048;
/// The first of them start as an image.
const IMAGE: usize = 512;
/// Pages behind them whose protection changes all the time.
const GUARDED: usize = 64;
const FIRST_GROWN: usize = OPEN + GUARDED;
const MAXIMUM: usize = FIRST_GROWN + 4096;

struct Shared {
    region: Region,
    /// Pages whose image was discarded, for sure.
    bare: Vec<AtomicBool>,
    /// Pages that are accessible, for sure.
    accessible: AtomicUsize,
    stop: AtomicBool,
    touches: AtomicUsize,
}

fn tag(page: usize) -> u64 {
    (page as u64) << 20 | 0xace
}

fn image_tag(page: usize) -> u64 {
    (page as u64) << 20 | 0x1ace
}

/// A raw load of a word of the region.
fn get(word: *mut u8) -> Result<u64, FaultKind> {
    // SAFETY: `Shared::word` makes addresses inside the reservation only.
    unsafe { load(word) }
}

/// A raw store.
fn put(word: *mut u8, value: u64) -> Result<(), FaultKind> {
    // SAFETY: as in `get`; no Rust object is in a region.
    unsafe { store(word, value) }
}

impl Shared {
    fn new(options: RegionOptions) -> Arc<Self> {
        let region = options.accessible(FIRST_GROWN * PAGE_SIZE).build().unwrap();
        let mut bytes = vec![0; IMAGE * PAGE_SIZE];
        for (page, contents) in bytes.chunks_exact_mut(PAGE_SIZE).enumerate() {
            contents
                .chunks_exact_mut(8)
                .for_each(|word| word.copy_from_slice(&image_tag(page).to_le_bytes()));
        }
        region.attach_image(0, &Image::new(&bytes).unwrap()).unwrap();
        Arc::new(Self {
            region,
            bare: (0..IMAGE).map(|_| AtomicBool::new(false)).collect(),
            accessible: AtomicUsize::new(FIRST_GROWN),
            stop: AtomicBool::new(false),
            touches: AtomicUsize::new(0),
        })
    }

    fn word(&self, page: usize, random: &mut Random) -> *mut u8 {
        self.region.base().wrapping_add(page * PAGE_SIZE + random.below(PAGE_SIZE / 8) * 8)
    }

    /// A load of a page that must be allowed.
    fn check(&self, page: usize, random: &mut Random) {
        let bare = self.bare.get(page).is_none_or(|bare| bare.load(Ordering::Acquire));
        let word = self.word(page, random);
        let value = get(word).unwrap_or_else(|kind| panic!("page {page} is denied: {kind:?}"));
        let right = value == 0 || value == tag(page) || (!bare && value == image_tag(page));
        assert!(right, "page {page} holds {value:#x} (image discarded: {bare})");
    }

    fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

fn toucher(shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    let mut touches = 0;
    while shared.running() {
        let accessible = shared.accessible.load(Ordering::Acquire);
        let page = match random.below(4) {
            0 => FIRST_GROWN + random.below(accessible - FIRST_GROWN + 1),
            _ => random.below(OPEN),
        };
        if (OPEN..FIRST_GROWN).contains(&page) || page >= accessible {
            continue;
        }
        shared.check(page, &mut random);
        if random.below(2) == 0 {
            let word = shared.word(page, &mut random);
            put(word, tag(page)).unwrap_or_else(|kind| panic!("page {page} is denied: {kind:?}"));
            shared.check(page, &mut random);
        }
        touches += 1;
    }
    shared.touches.fetch_add(touches, Ordering::Relaxed);
}

/// Loads and stores where the protection changes: denied or not, but for that reason only, and never a wrong byte.
fn poker(shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    while shared.running() {
        let page = OPEN + random.below(GUARDED);
        let word = shared.word(page, &mut random);
        match get(word) {
            Ok(value) => assert!(value == 0 || value == tag(page), "page {page} holds {value:#x}"),
            Err(kind) => assert_eq!(kind, FaultKind::Protection),
        }
        if let Err(kind) = put(word, tag(page)) {
            assert_eq!(kind, FaultKind::Protection);
        }
    }
}

fn discarder(shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    while shared.running() {
        let start = random.below(OPEN);
        let most = if random.below(16) == 0 { OPEN - start } else { (OPEN - start).min(40) };
        let end = start + 1 + random.below(most);
        shared.region.discard(start * PAGE_SIZE..end.min(OPEN) * PAGE_SIZE).unwrap();
        for page in start..end.min(IMAGE) {
            shared.bare[page].store(true, Ordering::Release);
        }
        shared.check(start, &mut random);
    }
}

/// Protects pages and checks at once that it is so, for this thread, whose view is exact.
fn protector(shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    while shared.running() {
        let start = OPEN + random.below(GUARDED);
        let end = start + 1 + random.below(FIRST_GROWN - start);
        let range = start * PAGE_SIZE..end * PAGE_SIZE;
        let page = start + random.below(end - start);
        let word = shared.word(page, &mut random);

        shared.region.protect(range.clone(), Protection::ReadOnly).unwrap();
        let before = get(word).unwrap();
        assert_eq!(put(word, 1), Err(FaultKind::Protection), "a store to a read-only page");
        thread::yield_now();
        assert_eq!(get(word), Ok(before), "a read-only page changed");

        shared.region.protect(range.clone(), Protection::NoAccess).unwrap();
        assert_eq!(get(word), Err(FaultKind::Protection), "a load from an inaccessible page");
        assert_eq!(put(word, 1), Err(FaultKind::Protection), "a store to an inaccessible page");

        shared.region.protect(range, Protection::ReadWrite).unwrap();
        let after = get(word).unwrap();
        assert!(
            after == before || after == tag(page),
            "contents were lost: {before:#x}, {after:#x}"
        );
    }
}

fn grower(shared: &Shared, seed: u64) {
    let mut random = Random::new(seed);
    let mut pages = FIRST_GROWN;
    while shared.running() && pages < MAXIMUM {
        let beyond = pages + random.below(MAXIMUM - pages);
        let word = shared.word(beyond, &mut random);
        assert_eq!(get(word), Err(FaultKind::OutOfBounds), "page {beyond} of {pages}");
        assert_eq!(put(word, 1), Err(FaultKind::OutOfBounds), "page {beyond} of {pages}");
        let old = pages;
        pages = (pages + 1 + random.below(4)).min(MAXIMUM);
        shared.region.grow(pages * PAGE_SIZE).unwrap();
        shared.accessible.store(pages, Ordering::Release);
        assert_eq!(shared.region.accessible(), pages * PAGE_SIZE);
        for page in old..pages {
            shared.check(page, &mut random);
        }
        thread::sleep(std::time::Duration::from_micros(500));
    }
}

type Role = fn(&Shared, u64);

/// With regions of which nothing is left to the kernel, and with those that are.
fn stress(pager: PagerKind, speculation: bool, shards: usize) {
    if available(pager) {
        prepare();
        [false, true].into_iter().for_each(|left| stress_region(pager, speculation, shards, left));
    }
}

fn stress_region(pager: PagerKind, speculation: bool, shards: usize, demand_paging: bool) {
    let options = RegionOptions::new(MAXIMUM * PAGE_SIZE)
        .guard(1 << 20)
        .pager(pager)
        .demand_paging(demand_paging)
        .speculation(speculation)
        .shards(shards);
    let shared = Shared::new(options);
    let roles: [Role; 8] =
        [toucher, toucher, toucher, poker, discarder, discarder, protector, grower];
    let threads: Vec<_> = roles
        .into_iter()
        .zip(1..)
        .map(|(role, seed)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                prepare();
                role(&shared, seed);
            })
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < stress_time() {
        thread::sleep(std::time::Duration::from_millis(20));
    }
    shared.stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    let region = &shared.region;
    let resident = region.resident();
    assert!(
        rss(region.base().addr(), region.reserved()) <= resident,
        "more is resident than is counted"
    );
    let counters = region.counters();
    let speculates = speculation && seqfault_mm::speculates();
    assert_eq!(counters.speculative > 0, speculates, "{counters:?}");
    assert!(shared.touches.load(Ordering::Relaxed) > 1000, "{counters:?}");
    region.protect(0..region.accessible(), Protection::ReadWrite).unwrap();
    region.discard(0..region.accessible()).unwrap();
    assert_eq!(region.resident(), 0);
    assert_eq!(rss(region.base().addr(), region.reserved()), 0);
    eprintln!("{pager:?}: {} touches, {counters:?}", shared.touches.load(Ordering::Relaxed));
}

#[test]
fn protect_stands_the_stress() {
    stress(PagerKind::Protect, true, SHARDS);
}

#[test]
fn uffd_stands_the_stress() {
    stress(PagerKind::Uffd, true, SHARDS);
}

#[test]
fn eager_stands_the_stress() {
    stress(PagerKind::Eager, true, SHARDS);
}

#[test]
fn demand_stands_the_stress() {
    stress(PagerKind::Demand, true, SHARDS);
}

#[test]
fn one_shared_count_stands_the_stress() {
    stress(PagerKind::Uffd, true, 1);
}

#[test]
fn without_speculation_it_stands_the_stress() {
    stress(PagerKind::Protect, false, SHARDS);
    stress(PagerKind::Uffd, false, SHARDS);
}
