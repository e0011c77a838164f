//! [`Random`]: numbers that no pattern fits, the same for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable with the seed of what is drawn.
pub(crate) const SEED: &str = "SEQFAULT_BENCH_SEED";

/// What the variable `SEQFAULT_BENCH_SEED` says, else another one in each run.
///
/// # Panics
///
/// When the variable is not a number.
pub(crate) fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text.parse().expect("SEQFAULT_BENCH_SEED: a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs()),
    }
}

/// Numbers that depend on a seed only (xorshift64: their quality is of no importance here).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts over with `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// By [`seed`], which is printed, so that the run can be repeated.
    pub fn seeded() -> Random {
        let seed = seed();
        println!("drawn by {SEED}={seed}");
        Random::new(seed)
    }

    /// The next number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % bound
    }

    /// One of `choices`, all equally likely.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// Puts `items` into an order of its own.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u32 + 1) as usize);
        }
    }
}
