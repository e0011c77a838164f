//! [`Random`]: numbers that no pattern fits, the same for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that depend on a seed only (xorshift64: their quality is of no importance here).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts over with `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// By the seed in the variable `SEQFAULT_BENCH_SEED`, else by the time of day. The seed is printed, so that
    /// the run can be repeated.
    pub fn seeded() -> Random {
        let given = std::env::var("SEQFAULT_BENCH_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs())
        });
        println!("drawn by SEQFAULT_BENCH_SEED={seed}");
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
}
