//! What this machine cannot show: 64 cores in one process, and thousands of instances.

use super::bars::Row;
use super::patterns::{fixed, recorded};
use super::prices::Prices;
use super::replay::{Setup, replay};
use super::trace::Event;
use crate::PagerKind;
use crate::space::Huge;

/// The kernel's default of `vm.max_map_count`.
const MAPPINGS: usize = 65_530;

#[test]
fn on_64_cores_small_windows_of_mprotect_lose_and_copies_do_not() {
    let there = Prices::MEASURED.on_cores(64);
    let mut lost = Vec::new();
    for pattern in recorded().into_iter().chain(fixed()) {
        for kind in [PagerKind::Uffd, PagerKind::Protect] {
            let row = |prices| Row::new(&pattern, Setup { kind, huge: Huge::Never }, prices);
            let (now, then) = (row(&Prices::MEASURED), row(&there));
            if then.misses() && !now.misses() {
                lost.push((then.ratio(), now.ratio(), kind, pattern.name.clone()));
            }
        }
    }
    lost.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (then, now, kind, name) in &lost {
        println!("{then:5.2} on 64 cores, {now:5.2} here, {kind:8?} {name}");
    }
    let loses = |kind, pattern: &str| {
        lost.iter().any(|(.., lost_kind, name)| *lost_kind == kind && name == pattern)
    };
    for pattern in ["dense", "dense, 64 KiB", "dense, 1 MiB", "hash"] {
        assert!(loses(PagerKind::Protect, pattern), "{pattern}: nothing is lost with mprotect");
        assert!(!loses(PagerKind::Uffd, pattern), "{pattern}: a loss with userfaultfd");
    }
    let worst_of_uffd = lost.iter().find(|(.., kind, _)| *kind == PagerKind::Uffd);
    assert!(worst_of_uffd.is_none_or(|worst| worst.0 < 2.0), "{worst_of_uffd:?}");
}

#[test]
fn ten_thousand_memories_have_few_mappings_each() {
    for pattern in recorded().into_iter().chain(fixed()) {
        let is_image = |event: &&Event| matches!(event, Event::Image(_));
        let images = pattern.events.iter().filter(is_image).count();
        for kind in [PagerKind::Uffd, PagerKind::Protect] {
            for huge in [Huge::Never, Huge::Asked] {
                let work = replay(&pattern.events, Setup { kind, huge });
                // Accessible, opened, asked for; and each image with what is behind it.
                let most = 5 + 2 * images;
                let name = &pattern.name;
                assert!(work.mappings <= most, "{name}, {kind:?}, {huge:?}: {}", work.mappings);
                assert!(images > 0 || work.mappings * 10_000 < MAPPINGS, "{name}");
            }
        }
    }
}
