//! A million random operations against the naive model, for each pager.
//!
//! `SEQFAULT_MODEL_OPS` asks for more, or for less (4,000 at least). On a single thread every fault is speculative, except those that need retries.
//! So the same run covers both paths by switching speculation.

use super::random::Random;
use super::world::{MAXIMUM, World, system};
use crate::space::PageRange;
use crate::{PagerKind, Protection};

fn operations() -> usize {
    std::env::var("SEQFAULT_MODEL_OPS").ok().and_then(|text| text.parse().ok()).unwrap_or(360_000)
}

fn range(random: &mut Random, len: usize) -> PageRange {
    let start = random.below(len + 1);
    let most = if random.below(8) == 0 { len - start } else { (len - start).min(20) };
    PageRange::new(start, start + random.below(most + 1))
}

/// One random operation. `refusals` says whether the system may refuse something meanwhile.
pub(super) fn step(world: &mut World<'_>, random: &mut Random, refusals: bool) {
    let len = world.model.len();
    let protections =
        [Protection::NoAccess, Protection::ReadOnly, Protection::ReadWrite, Protection::ReadWrite];
    let result = match random.below(100) {
        0..50 => {
            // Mostly inside the space, sometimes behind its end.
            let page = random.below(len + 3);
            world.touch(page, random.below(2) == 0, refusals);
            Ok(())
        }
        50..60 => {
            let page = random.below(len + 1);
            for page in page..(page + 30).min(len) {
                world.touch(page, true, refusals);
            }
            Ok(())
        }
        60..68 => {
            let most = if random.below(10) == 0 { 400 } else { 20 };
            let more = random.below(most);
            world.grow((len + more).min(MAXIMUM))
        }
        68..82 => {
            let range = range(random, len);
            world.discard(range)
        }
        82..90 => {
            let range = range(random, len);
            world.protect(range, protections[random.below(4)])
        }
        90..95 => {
            let range = range(random, len);
            world.attach_image(range, random.below(50))
        }
        95..99 => {
            let range = range(random, len);
            if !range.is_empty() {
                world.fault_in(range, random.below(2) == 0, refusals);
            }
            Ok(())
        }
        _ => match random.below(16) {
            0 => world.reset(random.below(MAXIMUM / 2)),
            1 => {
                let pages = random.below(MAXIMUM / 2);
                let (image, protected) = (range(random, pages), range(random, pages));
                let to = protections[random.below(4)];
                world.found(pages, (image, random.below(50)), (protected, to))
            }
            2..6 => {
                let keep = [0, 20, 100, usize::MAX / 2][random.below(4)];
                let rewound = world.rewind(keep, random.below(2) == 0);
                if !refusals && random.below(2) == 0 {
                    world.wait_for_user();
                }
                rewound
            }
            6..8 => {
                world.recount();
                Ok(())
            }
            8..16 => {
                world.leave_room([usize::MAX, usize::MAX, 4500, 300, 20, 0][random.below(6)]);
                Ok(())
            }
            _ => return,
        },
    };
    if !refusals {
        result.unwrap();
    }
}

fn run(kind: PagerKind, shards: usize, limit: Option<usize>, seed: u64) {
    let sys = system();
    let world = World::new(&sys, kind, shards, limit);
    run_in(world, kind, limit.is_some(), seed);
}

fn run_in(mut world: World<'_>, kind: PagerKind, is_limited: bool, seed: u64) {
    let mut random = Random::new(seed);
    for operation in 0..operations() {
        if operation % 1000 == 0 {
            world.space.set_speculation(operation / 1000 % 4 != 3);
            world.compare();
        }
        step(&mut world, &mut random, false);
        world.validate();
    }
    world.compare();
    let counters = world.space.counters();
    // Without faults by the pager, only denied accesses fault.
    let faults = kind != PagerKind::Demand;
    assert!((counters.classic > 0 || !faults) && (counters.pages_committed > 0) == faults);
    assert_eq!(counters.speculative > 0, crate::speculates());
    let opens = !is_limited && matches!(kind, PagerKind::Protect | PagerKind::Uffd);
    assert_eq!(counters.opened > 0, opens);
    world.destroy();
}

#[test]
fn protect_agrees_with_the_model() {
    run(PagerKind::Protect, 64, None, 1);
}

#[test]
fn uffd_agrees_with_the_model() {
    run(PagerKind::Uffd, 4, None, 2);
}

#[test]
fn eager_agrees_with_the_model() {
    run(PagerKind::Eager, 1, None, 3);
}

#[test]
fn demand_agrees_with_the_model_and_never_faults() {
    run(PagerKind::Demand, 64, None, 7);
}

#[test]
fn a_budget_holds_in_the_model() {
    for (kind, seed) in [(PagerKind::Protect, 8), (PagerKind::Uffd, 9), (PagerKind::Eager, 10)] {
        let sys = system();
        run_in(World::with_budget(&sys, kind, 4), kind, false, seed);
    }
}

#[test]
fn limits_hold_in_the_model() {
    run(PagerKind::Protect, 2, Some(200), 4);
    run(PagerKind::Uffd, 2, Some(200), 5);
    run(PagerKind::Eager, 2, Some(200), 6);
}

#[test]
fn an_out_of_range_operation_is_refused_and_changes_nothing() {
    let sys = system();
    let mut world = World::new(&sys, PagerKind::Protect, 64, None);
    world.grow(40).unwrap();
    for page in 0..40 {
        world.touch(page, true, false);
    }
    world.grow(MAXIMUM + 1).unwrap_err();
    world.discard(PageRange::new(30, 41)).unwrap_err();
    world.protect(PageRange::new(30, 41), Protection::NoAccess).unwrap_err();
    world.attach_image(PageRange::new(30, 41), 0).unwrap_err();
    world.validate();
    world.compare();
}
