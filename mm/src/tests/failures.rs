//! System calls that fail: each one alone, and all from each one on.

use super::model::step;
use super::random::Random;
use super::world::{World, system};
use crate::space::{Opening, PageRange};
use crate::{PagerKind, Protection};

const KINDS: [PagerKind; 4] =
    [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager, PagerKind::Demand];

/// A world with a bit of everything in it.
fn furnished<'a>(sys: &'a crate::sys::Fake, kind: PagerKind, budget: bool) -> World<'a> {
    let mut world = match budget {
        true => World::with_budget(sys, kind, 8),
        false => World::new(sys, kind, 8, None),
    };
    world.grow(700).unwrap();
    world.attach_image(PageRange::new(100, 150), 0).unwrap();
    for page in (0..700).step_by(3) {
        world.touch(page, true, false);
    }
    world.protect(PageRange::new(120, 135), Protection::ReadOnly).unwrap();
    world.protect(PageRange::new(300, 310), Protection::NoAccess).unwrap();
    world
}

type Operation = fn(&mut World<'_>) -> bool;

/// Each returns whether it succeeded.
const OPERATIONS: [(&str, Operation); 11] = [
    ("grow", |world| world.grow(1000).is_ok()),
    ("discard", |world| world.discard(PageRange::new(10, 680)).is_ok()),
    ("discard a part of an image", |world| world.discard(PageRange::new(110, 140)).is_ok()),
    ("attach", |world| world.attach_image(PageRange::new(140, 560), 7).is_ok()),
    ("protect", |world| world.protect(PageRange::new(90, 305), Protection::ReadOnly).is_ok()),
    ("unprotect", |world| world.protect(PageRange::new(90, 305), Protection::ReadWrite).is_ok()),
    ("reset", |world| world.reset(300).is_ok()),
    ("rewind", |world| world.rewind(50, true).is_ok()),
    ("attach near the budget", |world| {
        world.leave_room(9000);
        world.attach_image(PageRange::new(140, 560), 7).is_ok()
    }),
    ("recount", |world| {
        world.recount();
        true
    }),
    ("touch", |world| {
        world.protect(PageRange::new(0, 700), Protection::ReadWrite).is_ok()
            && (0..700)
                .all(|page| world.access(page, Some(5)).map(|_| world.wrote(page, 5)).is_ok())
    }),
];

#[test]
fn every_single_failure_is_an_error_and_leaves_a_working_space() {
    for (kind, budget) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        if budget && kind == PagerKind::Demand {
            continue;
        }
        for (name, operation) in OPERATIONS {
            for for_good in [false, true] {
                let mut nth = 0;
                loop {
                    let sys = system();
                    let mut world = furnished(&sys, kind, budget);
                    sys.fail(nth, for_good);
                    let succeeded = operation(&mut world);
                    let failed = sys.stop_failing();
                    world.validate();
                    world.compare();
                    assert!(
                        operation(&mut world),
                        "{kind:?}: {name} does not work after a failure at {nth}"
                    );
                    world.validate();
                    world.compare();
                    world.reset(700).unwrap();
                    assert_eq!(
                        world.space.resident(),
                        0,
                        "{kind:?}: {name} leaks after a failure at {nth}"
                    );
                    world.destroy();
                    if !failed && succeeded {
                        break;
                    }
                    nth += 1;
                    assert!(nth < 2000, "{name} never gets through");
                }
            }
        }
    }
}

#[test]
fn random_failures_never_break_the_model() {
    for kind in KINDS {
        for (seed, opening) in [
            (77, Opening::OnEvidence),
            (78, Opening::OnEvidence),
            (79, Opening::Never),
            (80, Opening::Never),
        ] {
            let sys = system();
            let mut world = World::with_policy(&sys, kind, 8, None, kind.policy(opening));
            let mut random = Random::new(seed);
            for _ in 0..40_000 {
                if random.below(4) == 0 {
                    sys.fail(random.below(3), random.below(2) == 0);
                }
                step(&mut world, &mut random, true);
                sys.stop_failing();
                world.validate();
            }
            world.compare();
            world.reset(0).unwrap();
            world.destroy();
        }
    }
}
