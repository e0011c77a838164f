//! Engines in all the ways in which pages can be made present.

use seqfault::{Config, Engine, MemoryType, PagerKind, SharedMemory};

/// An engine for each pager that this machine has, with speculation and without, after `adapt` has
/// changed its configuration.
pub(crate) fn engines(adapt: impl Fn(&mut Config)) -> Vec<Engine> {
    let mut engines = Vec::new();
    for pager in [PagerKind::Protect, PagerKind::Uffd, PagerKind::Eager, PagerKind::Demand] {
        for speculation in [true, false] {
            let mut config = Config::new();
            config.pager(pager).speculation(speculation);
            // Where accesses never fault, there need be no signals.
            config.signals_based_traps(pager != PagerKind::Demand);
            adapt(&mut config);
            let engine = match Engine::new(&config) {
                Ok(engine) => engine,
                // The kernel alone limits nothing.
                Err(error) if error.to_string().contains("a limit on resident memory") => continue,
                Err(error) => panic!("{error}"),
            };
            // Not every system lets its users handle their faults.
            let there = SharedMemory::new(&engine, MemoryType::shared(1, 1)).is_ok();
            assert!(there || pager == PagerKind::Uffd, "{pager:?}");
            engines.extend(there.then_some(engine));
        }
    }
    engines
}
