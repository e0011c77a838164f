//! Engines in all the ways in which pages can be made present.

use seqfault::{Config, Engine, MemoryType, PagerKind, SharedMemory};

/// An engine for each pager that this machine has, with speculation and without, after `adapt` has
/// changed its configuration.
pub(crate) fn engines(adapt: impl Fn(&mut Config)) -> Vec<Engine> {
    let mut engines = Vec::new();
    for pager in [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager] {
        for speculation in [true, false] {
            let mut config = Config::new();
            config.pager(pager).speculation(speculation);
            adapt(&mut config);
            let engine = Engine::new(&config).expect("an engine");
            // Not every system lets its users handle their faults.
            let there = SharedMemory::new(&engine, MemoryType::shared(1, 1)).is_ok();
            assert!(there || pager == PagerKind::Uffd, "{pager:?}");
            engines.extend(there.then_some(engine));
        }
    }
    engines
}
