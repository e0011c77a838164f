//! [`shuffled`]: orders that no pattern fits, the same in every run.

use crate::Random;

/// The numbers below `count`, in an order that depends on `seed` only.
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    Random::new(seed).shuffle(&mut numbers);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once_and_not_in_order() {
        let numbers = shuffled(1000, 7);
        assert_eq!(numbers, shuffled(1000, 7));
        assert_ne!(numbers, shuffled(1000, 8));
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..1000));
        assert_ne!(numbers, sorted);
    }
}
