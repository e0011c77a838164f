//! Huge pages in the model: where they are asked for, where no longer, and that nothing else changes.

use super::model::step;
use super::random::Random;
use super::world::{MAXIMUM, World, system};
use crate::PagerKind;
use crate::space::{Huge, Opening, PageRange, Policy};
use crate::sys::Fake;

const KINDS: [PagerKind; 2] = [PagerKind::Protect, PagerKind::Uffd];
/// The second stripe: the first is proven, and this is the next.
const STRIPE: PageRange = PageRange::new(512, 1024);

fn policy(kind: PagerKind, huge: Huge) -> Policy {
    kind.policy(Opening::OnEvidence).huge(huge)
}

fn dense<'a>(sys: &'a Fake, kind: PagerKind, huge: Huge, pages: usize) -> World<'a> {
    let mut world = World::with_policy(sys, kind, 8, None, policy(kind, huge));
    world.grow(MAXIMUM).unwrap();
    (0..pages).for_each(|page| world.touch(page, true, false));
    world
}

fn asked_in(sys: &Fake, range: PageRange) -> usize {
    (range.start..range.end).filter(|&page| sys.is_huge(page)).count()
}

#[test]
fn they_are_asked_for_behind_a_proven_stripe_and_come_when_it_is_touched() {
    for kind in KINDS {
        let sys = system();
        let mut world = dense(&sys, kind, Huge::Asked, STRIPE.start);
        assert_eq!(asked_in(&sys, PageRange::new(0, MAXIMUM)), 0);
        world.touch(STRIPE.start, true, false);
        assert_eq!(asked_in(&sys, PageRange::new(0, MAXIMUM)), STRIPE.len());
        assert_eq!(sys.present(STRIPE), STRIPE.len(), "one touch, one huge page");
        world.compare();
        world.destroy();
    }
}

#[test]
fn they_are_not_asked_for_where_the_system_has_none_or_gives_them_unasked() {
    for kind in KINDS {
        for huge in [Huge::Never, Huge::Given] {
            let sys = system();
            let mut world = dense(&sys, kind, huge, MAXIMUM);
            assert_eq!(asked_in(&sys, PageRange::new(0, MAXIMUM)), 0);
            world.compare();
            world.destroy();
        }
    }
}

#[test]
fn what_was_given_back_is_sparse_when_it_is_touched_again() {
    type Operation = fn(&mut World<'_>);
    let operations: [(&str, Operation); 3] = [
        ("discard", |world| world.discard(PageRange::new(0, MAXIMUM)).unwrap()),
        ("reset", |world| world.reset(MAXIMUM).unwrap()),
        ("shrink and grow", |world| {
            world.reset(100).unwrap();
            world.grow(MAXIMUM).unwrap();
        }),
    ];
    for kind in KINDS {
        for (name, operation) in operations {
            let sys = system();
            let mut world = dense(&sys, kind, Huge::Asked, MAXIMUM);
            operation(&mut world);
            assert_eq!(asked_in(&sys, PageRange::new(0, MAXIMUM)), 0, "{kind:?}: {name}");
            world.touch(700, true, false);
            assert!(sys.present(STRIPE) <= 16, "{kind:?}: {name}");
            world.validate();
            world.compare();
            world.destroy();
        }
    }
}

#[test]
fn a_discard_of_a_part_leaves_the_rest_as_it_is() {
    for kind in KINDS {
        let sys = system();
        let mut world = dense(&sys, kind, Huge::Asked, MAXIMUM);
        world.discard(PageRange::new(600, 700)).unwrap();
        assert_eq!(asked_in(&sys, STRIPE), STRIPE.len());
        assert_eq!(sys.present(STRIPE), STRIPE.len() - 100);
        world.touch(650, true, false);
        assert_eq!(sys.present(STRIPE), STRIPE.len() - 99, "there is a page table now");
        world.compare();
        world.destroy();
    }
}

#[test]
fn a_reset_space_finds_its_sequence_again() {
    for kind in KINDS {
        let sys = system();
        let mut world = dense(&sys, kind, Huge::Asked, MAXIMUM);
        world.reset(MAXIMUM).unwrap();
        (0..MAXIMUM).for_each(|page| world.touch(page, true, false));
        assert_eq!(asked_in(&sys, STRIPE), STRIPE.len());
        world.compare();
        world.destroy();
    }
}

#[test]
fn where_they_are_given_a_large_growth_is_open_from_the_start() {
    for kind in KINDS {
        let sys = system();
        let mut world = World::with_policy(&sys, kind, 8, None, policy(kind, Huge::Given));
        world.grow(511).unwrap();
        assert!(!world.space.is_open(0));
        world.touch(0, true, false);
        world.touch(300, true, false);
        assert!(world.space.is_open(0) && world.space.is_open(510), "by the second fault");
        world.reset(0).unwrap();
        world.grow(512).unwrap();
        assert!(world.space.is_open(0) && world.space.is_open(511));
        world.destroy();
    }
}

#[test]
fn random_operations_after_a_dense_run_agree_with_the_model() {
    for kind in KINDS {
        for seed in 0..40 {
            let mut random = Random::new(1000 + seed);
            let sys = system();
            let huge = [Huge::Asked, Huge::Given][random.below(2)];
            let refusals = random.below(2) == 0;
            let pages = 600 + random.below(MAXIMUM - 600);
            let mut world = dense(&sys, kind, huge, pages);
            for _ in 0..400 {
                if refusals && random.below(4) == 0 {
                    sys.fail(random.below(3), random.below(2) == 0);
                }
                step(&mut world, &mut random, refusals);
                sys.stop_failing();
                world.validate();
            }
            world.compare();
            world.destroy();
        }
    }
}
