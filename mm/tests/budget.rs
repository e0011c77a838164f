//! Regions that share a budget: whoever goes over is denied, and nobody else notices. `SEQFAULT_STRESS_SECS` asks for
//! longer storms.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::{Random, available, forked, stress_time};
use seqfault_mm::{
    Access, Budget, Error, FaultKind, Image, PAGE_SIZE, PagerKind, Region, RegionOptions,
};

const MIB: usize = 1 << 20;

fn pagers() -> impl Iterator<Item = PagerKind> {
    [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager]
        .into_iter()
        .filter(|&pager| available(pager))
}

fn options(pager: PagerKind, budget: &Budget, len: usize) -> RegionOptions {
    RegionOptions::new(len).accessible(len).pager(pager).budget(Some(budget))
}

fn region(pager: PagerKind, budget: &Budget, len: usize) -> Region {
    options(pager, budget, len).build().unwrap()
}

/// Writes to a page what tells it from others.
fn mark(region: &Region, page: usize) -> Result<(), FaultKind> {
    region.write(page * PAGE_SIZE + 8, &page.to_le_bytes()).map_err(|fault| fault.kind)
}

fn is_marked(region: &Region, page: usize) -> bool {
    let mut bytes = [0; size_of::<usize>()];
    region.read(page * PAGE_SIZE + 8, &mut bytes).unwrap();
    usize::from_le_bytes(bytes) == page
}

/// Marks pages in that order until one is denied for the budget; those that were marked.
fn mark_all(region: &Region, pages: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut marked = Vec::new();
    for page in pages {
        match mark(region, page) {
            Ok(()) => marked.push(page),
            Err(kind) => {
                assert_eq!(kind, FaultKind::ResidentLimit);
                break;
            }
        }
    }
    marked
}

/// Pages of a region, drawn without repetition.
fn drawn(pages: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let mut all: Vec<usize> = (0..pages).collect();
    (1..pages).rev().for_each(|at| all.swap(at, random.below(at + 1)));
    all
}

#[test]
fn the_touch_that_goes_over_is_denied_and_others_go_on() {
    const LIMIT: usize = 16 * MIB;
    for pager in pagers() {
        let budget = Budget::new(LIMIT);
        let modest = region(pager, &budget, 4 * MIB);
        let early = mark_all(&modest, 0..100);
        assert_eq!(early.len(), 100);
        let greedy = region(pager, &budget, 256 * MIB);
        let marked = mark_all(&greedy, 0..64 << 10);
        assert!(
            marked.len() < LIMIT / PAGE_SIZE && marked.len() * PAGE_SIZE > LIMIT / 16 * 11,
            "{pager:?} {}",
            marked.len()
        );
        for _ in 0..3 {
            assert_eq!(mark(&greedy, 60_000), Err(FaultKind::ResidentLimit), "{pager:?}");
        }
        assert!(early.iter().all(|&page| is_marked(&modest, page)));
        assert!(marked.iter().all(|&page| is_marked(&greedy, page)));
        assert!(budget.charged().unwrap() <= LIMIT);
        assert!(modest.resident() + greedy.resident() <= LIMIT);
        // What is given back is for everyone.
        greedy.discard(0..8 * MIB).unwrap();
        assert_eq!(mark_all(&modest, 200..1000).len(), 800, "{pager:?}");
        drop(greedy);
        drop(modest);
        assert_eq!(budget.charged().unwrap(), 0, "{pager:?}");
    }
}

/// Far from the budget each fault is answered as without one.
#[test]
fn far_from_the_budget_nothing_changes() {
    for pager in pagers() {
        let budget = Budget::new(64 << 30);
        let all: Vec<_> = [None, Some(&budget)]
            .into_iter()
            .map(|budget| {
                let region = RegionOptions::new(256 * MIB).accessible(128 * MIB).pager(pager);
                let region = region.budget(budget).build().unwrap();
                mark_all(&region, 0..4000);
                mark_all(&region, (4000..8000).step_by(17));
                mark_all(&region, drawn(32 << 10, 3).into_iter());
                region.grow(256 * MIB).unwrap();
                mark_all(&region, (32 << 10..64 << 10).rev().step_by(3));
                (region.counters(), region.resident())
            })
            .collect();
        assert_eq!(all[0], all[1], "{pager:?}");
    }
}

#[test]
fn sparse_touches_get_nearly_all_of_the_budget() {
    const LIMIT: usize = 64 * MIB;
    for pager in pagers().filter(|&pager| pager != PagerKind::Eager) {
        for seed in 1..3 {
            let budget = Budget::new(LIMIT);
            let region = region(pager, &budget, 512 * MIB);
            let marked = mark_all(&region, drawn(128 << 10, seed).into_iter());
            let bytes = marked.len() * PAGE_SIZE;
            assert!(bytes > LIMIT / 16 * 14, "{pager:?}: denied at {bytes}");
            assert!(region.resident() <= LIMIT, "{pager:?}: {}", region.resident());
            assert!(region.counters().opened > 0, "{pager:?}");
            assert!(marked.iter().all(|&page| is_marked(&region, page)), "{pager:?}");
            region.reset(MIB).unwrap();
            assert!(budget.charged().unwrap() <= MIB);
        }
    }
}

#[test]
fn many_regions_that_hold_little_fit_and_the_one_too_many_is_denied() {
    const LIMIT: usize = 32 * MIB;
    for pager in pagers().filter(|&pager| pager != PagerKind::Eager) {
        let budget = Budget::new(LIMIT);
        // Each is opened as a whole, or far beyond what it holds.
        let regions: Vec<_> = (0..200).map(|_| region(pager, &budget, 4 * MIB)).collect();
        let few = [3, 700, 90, 401];
        for region in &regions {
            assert_eq!(mark_all(region, few.into_iter()).len(), few.len(), "{pager:?}");
        }
        let mut all = 0;
        for region in &regions {
            let more = drawn(1024, 5).into_iter().filter(|page| !few.contains(page)).take(100);
            all += mark_all(region, more).len() + few.len();
            assert!(few.iter().all(|&page| is_marked(region, page)));
        }
        let resident: usize = regions.iter().map(Region::resident).sum();
        assert!(all * PAGE_SIZE <= resident && resident <= LIMIT, "{pager:?}: {resident}");
        assert!(resident > LIMIT / 16 * 13, "{pager:?}: denied at {resident}");
        drop(regions);
        assert_eq!(budget.charged().unwrap(), 0, "{pager:?}");
    }
}

#[test]
fn what_waits_for_a_user_goes_first() {
    const LIMIT: usize = 32 * MIB;
    let image = Image::new(&[7; 10 * PAGE_SIZE]).unwrap();
    for pager in pagers() {
        let budget = Budget::new(LIMIT);
        let mut idle: Vec<_> = (0..8).map(|_| region(pager, &budget, 4 * MIB)).collect();
        for region in &mut idle {
            region.attach_image(MIB, &image).unwrap();
            region.set_pristine();
            for page in (0..512).chain([900]) {
                let _ = mark(region, page);
            }
            region.rewind(4 * MIB).unwrap();
            assert!(region.set_idle(true));
        }
        let kept: usize = idle.iter().map(Region::resident).sum();
        let user = region(pager, &budget, 256 * MIB);
        let marked = mark_all(&user, 0..64 << 10).len() * PAGE_SIZE;
        assert!(marked > LIMIT / 16 * 15, "{pager:?}: {marked} beside {kept}");
        drop(user);
        // They are as they were for their next users.
        for region in &mut idle {
            assert!(region.set_idle(false));
            let mut all = vec![1; 4 * MIB];
            region.read(0, &mut all).unwrap();
            let image = MIB..MIB + 10 * PAGE_SIZE;
            assert!(
                all.iter()
                    .enumerate()
                    .all(|(at, &byte)| byte == if image.contains(&at) { 7 } else { 0 }),
                "{pager:?}"
            );
            assert!(mark(region, 0).is_ok());
        }
        drop(idle);
        assert_eq!(budget.charged().unwrap(), 0, "{pager:?}");
    }
}

#[test]
fn accesses_of_the_host_and_of_the_kernel_are_refused_as_well() {
    const LIMIT: usize = 4 * MIB;
    for pager in pagers() {
        let budget = Budget::new(LIMIT);
        let [one, other] = [(); 2].map(|()| region(pager, &budget, 64 * MIB));
        one.fill(0, 1, MIB).unwrap();
        let kind = |result: Result<(), seqfault_mm::Fault>| result.unwrap_err().kind;
        assert_eq!(kind(one.fill(0, 1, 8 * MIB)), FaultKind::ResidentLimit, "{pager:?}");
        assert_eq!(kind(one.write(MIB, &vec![1; 8 * MIB])), FaultKind::ResidentLimit);
        assert_eq!(kind(Region::copy((&other, 0), (&one, 0), 4 * MIB)), FaultKind::ResidentLimit);
        assert_eq!(kind(other.read(32 * MIB, &mut vec![1; 8 * MIB])), FaultKind::ResidentLimit);
        assert_eq!(kind(other.fault_in(0..8 * MIB, Access::Write)), FaultKind::ResidentLimit);
        assert!(one.resident() + other.resident() <= LIMIT, "{pager:?}");
        one.discard(0..64 * MIB).unwrap();
        other.discard(0..64 * MIB).unwrap();
        other.fault_in(0..MIB, Access::Write).unwrap();
        other.fill(0, 1, MIB).unwrap();
    }
}

const LIMIT_OF_STORM: usize = 24 * MIB;

/// Threads that touch, discard, grow and drop: nobody loses a byte, and no more becomes resident than there is.
#[test]
fn in_a_storm_the_budget_holds_and_no_byte_is_lost() {
    for pager in pagers().filter(|&pager| pager != PagerKind::Eager) {
        let budget = Budget::new(LIMIT_OF_STORM);
        let over = AtomicBool::new(false);
        let end = Instant::now() + stress_time() / 2;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (budget, over) = (&budget, &over);
                scope.spawn(move || {
                    let mut random = Random::new(thread + 1);
                    while Instant::now() < end {
                        storm(pager, budget, &mut random, over);
                    }
                });
            }
        });
        assert!(over.load(Ordering::Relaxed), "{pager:?}: nobody went over");
        assert_eq!(budget.charged().unwrap(), 0, "{pager:?}");
    }
}

fn storm(pager: PagerKind, budget: &Budget, random: &mut Random, over: &AtomicBool) {
    let region = options(pager, budget, 64 * MIB).accessible(48 * MIB).build().unwrap();
    let mut held = std::collections::HashSet::new();
    for _ in 0..2000 {
        match random.below(100) {
            0 => {
                let start = random.below(10 << 10);
                let end = start + random.below(2 << 10);
                region.discard(start * PAGE_SIZE..end * PAGE_SIZE).unwrap();
                held.retain(|page| !(start..end).contains(page));
            }
            1 => region.grow((48 + random.below(16)) * MIB).unwrap(),
            2..10 => {
                let start = random.below(11 << 10);
                held.extend(mark_all(&region, start..start + random.below(1 << 10)));
            }
            _ => match mark(&region, random.below(12 << 10)) {
                Ok(()) => {}
                Err(kind) => {
                    assert_eq!(kind, FaultKind::ResidentLimit);
                    over.store(true, Ordering::Relaxed);
                }
            },
        }
    }
    assert!(budget.charged().unwrap() <= LIMIT_OF_STORM);
    assert!(region.resident() <= LIMIT_OF_STORM);
    assert!(held.iter().all(|&page| is_marked(&region, page)), "{pager:?}: a byte is lost");
}

#[test]
fn in_a_child_only_its_own_regions_count() {
    let budget = Budget::new(8 * MIB);
    let _parents = region(PagerKind::Auto, &budget, 8 * MIB);
    mark_all(&_parents, 0..1000);
    let before = budget.charged().unwrap();
    for how in forked::BOTH {
        forked::child(how, || {
            assert_eq!(budget.charged().unwrap(), 0);
            let own = region(PagerKind::Auto, &budget, 64 * MIB);
            let marked = mark_all(&own, 0..16 << 10).len() * PAGE_SIZE;
            assert!(marked > 7 * MIB && marked <= 8 * MIB, "{marked}");
        });
    }
    assert_eq!(budget.charged().unwrap(), before);
}

#[test]
fn a_pager_that_does_not_count_is_refused() {
    let error = options(PagerKind::Demand, &Budget::new(MIB), MIB).build().unwrap_err();
    assert!(matches!(error, Error::Unlimited { .. }), "{error}");
}
