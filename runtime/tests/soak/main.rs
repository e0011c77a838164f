//! Short instances of random modules on eight threads, which end in every way: none finds a byte of another, and the
//! process holds in the end what it held before. `SEQFAULT_SOAK_SECS` sets how long it runs, by default 10 seconds;
//! `SEQFAULT_SOAK_SEED` repeats what was drawn.

mod life;
mod modules;
mod process;
mod random;

use modules::Drawn;
use process::Held;
use random::Random;
use seqfault::{Config, Engine, Module, PagerKind, Reuse};
use std::time::{Duration, Instant};

const THREADS: u64 = 8;

/// Lives of each thread before all engines are dropped.
const LIVES: usize = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// An engine of a kind that `turn` names, so that all kinds come, with other choices drawn.
fn engine(turn: usize, random: &mut Random) -> Engine {
    let pagers = [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager, PagerKind::Demand];
    let mut config = Config::new();
    config.pager(pagers[turn % pagers.len()]).epoch_interruption(true);
    config.memory_huge_pages(random.below(2) == 0);
    // The other pagers need signals.
    config.signals_based_traps(turn % pagers.len() != 3 || random.below(2) == 0);
    let mut reuse = Reuse::default();
    reuse.max_idle = [0, 1, 17, 1024][random.below(4)];
    reuse.keep_resident = [0, 5000, 1 << 20][random.below(3)];
    config.reuse(reuse);
    Engine::new(&config).unwrap()
}

/// Makes an engine and modules, lets each thread live many short lives with them, and drops everything.
fn round(turn: usize, seed: u64) {
    let mut random = Random::new(seed + turn as u64 * 1000);
    let engine = engine(turn, &mut random);
    let drawn: Vec<_> = (0..5).map(|_| Drawn::new(&mut random)).collect();
    let modules: Vec<_> =
        drawn.iter().map(|drawn| Module::new(&engine, &drawn.text).unwrap()).collect();
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let (engine, drawn) = (&engine, &drawn);
            // Each thread drops its modules while others use them.
            let modules = modules.clone();
            scope.spawn(move || {
                let mut random = Random::new(seed + turn as u64 * 1000 + thread);
                for _ in 0..LIVES {
                    let kind = random.below(modules.len());
                    life::live(engine, &modules[kind], &drawn[kind], &mut random);
                }
            });
        }
        drop(modules);
    });
}

#[test]
fn thousands_of_short_lives_leave_nothing_behind() {
    let seed = number("SEQFAULT_SOAK_SEED").unwrap_or(0x50a7);
    let time = Duration::from_secs(number("SEQFAULT_SOAK_SECS").unwrap_or(10));
    eprintln!("SEQFAULT_SOAK_SEED={seed}");
    // Panics of the host's function are part of it.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&life::PANIC) {
            hook(info);
        }
    }));
    // SAFETY: a setting of the C library's allocator, so that what it keeps does not depend on which threads met.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    (0..4).for_each(|turn| round(turn, seed));
    let before = Held::settled(None);
    let begin = Instant::now();
    let mut turn = 4;
    while begin.elapsed() < time {
        round(turn, seed);
        turn += 1;
    }
    let after = Held::settled(Some(before));
    eprintln!("{turn} rounds; before: {before:?}; after: {after:?}");
    after.assert_back_at(before);
}
