//! Mutated modules: whatever is done to a good module, the engine gives an error or a module, in
//! bounded time and memory, and never panics. What is still a module also runs, to a return, a
//! trap or an interruption.
//!
//! The seeds are the modules of the specification's suite. Half of the mutants keep the shape of a
//! module (`wasm-mutate`), half do not (`damage`). The number and the choice are fixed;
//! `SEQFAULT_MUTANTS` asks for another number.

#![deny(unsafe_code)]

mod damage;
mod seeds;
mod trial;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seqfault_wasm_tests::watch::peak_memory;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use trial::{Lab, Verdict};
use wasm_mutate::WasmMutate;

/// Mutants without another wish.
const MUTANTS: usize = 30_000;

/// Every so many mutants one is compiled eagerly and run.
const RUN_EVERY: usize = 12;

/// The most memory that the process may have needed, whatever a module asked for.
const MEMORY: u64 = 2 << 30;

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    refused: AtomicUsize,
    accepted: AtomicUsize,
    ran: AtomicUsize,
}

#[test]
fn mutants_are_refused_or_accepted_and_nothing_else() {
    let wanted = match std::env::var("SEQFAULT_MUTANTS") {
        Ok(number) => number.parse().expect("SEQFAULT_MUTANTS is a number"),
        Err(_) => MUTANTS,
    };
    let seeds = seeds::modules();
    assert!(seeds.len() > 100, "{} seeds", seeds.len());
    let counts = Counts::default();
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (seeds, counts) = (&seeds, &counts);
            scope.spawn(move || {
                let share = (worker..wanted).step_by(workers);
                work(share, seeds, counts);
            });
        }
    });
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    assert!(count(&counts.made) >= wanted, "{counts:?}");
    assert_eq!(count(&counts.made), count(&counts.refused) + count(&counts.accepted));
    // Both ways were really tried.
    assert!(count(&counts.refused) > wanted / 10, "{counts:?}");
    assert!(count(&counts.accepted) > wanted / 10, "{counts:?}");
    assert!(count(&counts.ran) > wanted / RUN_EVERY / 20, "{counts:?}");
    if let Some(peak) = peak_memory() {
        assert!(peak < MEMORY, "{peak} bytes were resident");
    }
}

fn work(share: impl Iterator<Item = usize>, seeds: &[Vec<u8>], counts: &Counts) {
    let lab = Lab::new();
    for number in share {
        let mut rng = StdRng::seed_from_u64(number as u64);
        let seed = &seeds[rng.random_range(0..seeds.len())];
        let mutant = mutant(number, seed, &mut rng);
        counts.made.fetch_add(1, Ordering::Relaxed);
        match lab.examine(&mutant, number.is_multiple_of(RUN_EVERY)) {
            Verdict::Refused => counts.refused.fetch_add(1, Ordering::Relaxed),
            Verdict::Accepted { ran } => {
                counts.ran.fetch_add(usize::from(ran), Ordering::Relaxed);
                counts.accepted.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// A mutant of `seed`: one that keeps its shape for even numbers, if there is one.
fn mutant(number: usize, seed: &[u8], rng: &mut StdRng) -> Vec<u8> {
    if number.is_multiple_of(2) {
        let mut mutate = WasmMutate::default();
        mutate.seed(rng.random()).fuel(100).preserve_semantics(false);
        if let Ok(mut mutants) = mutate.run(seed)
            && let Some(Ok(mutant)) = mutants.next()
        {
            return mutant;
        }
    }
    damage::damaged(seed, rng)
}
