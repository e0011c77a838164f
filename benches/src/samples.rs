//! [`Samples`]: what was measured of the contenders of a contest, and what follows from it.

use std::time::Duration;

/// Samples of several contenders, taken in rounds: in each, all of them did the same iterations, one
/// right after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Round>);

#[derive(Clone, Debug)]
struct Round {
    iterations: u64,
    times: Vec<Duration>,
}

impl Round {
    fn nanos(&self, who: usize) -> f64 {
        self.times[who].as_nanos() as f64
    }
}

impl Samples {
    /// Adds a round: the time that each contender took for `iterations`.
    pub(crate) fn push(&mut self, iterations: u64, times: Vec<Duration>) {
        if iterations > 0 {
            self.0.push(Round { iterations, times });
        }
    }

    /// How many contenders each round has.
    pub(crate) fn contenders(&self) -> usize {
        self.0.first().map_or(0, |round| round.times.len())
    }

    /// The median time of an iteration of contender `who`, in nanoseconds.
    pub(crate) fn median(&self, who: usize) -> Option<f64> {
        self.median_of(|round| round.nanos(who) / round.iterations as f64)
    }

    /// The median, over the rounds, of the time of contender `who` divided by that of `peer`.
    ///
    /// What slows a round slows all contenders, so this wavers less than the medians do.
    pub(crate) fn ratio(&self, who: usize, peer: usize) -> Option<f64> {
        self.median_of(|round| round.nanos(who) / round.nanos(peer))
    }

    /// The median, over the rounds, of what contender `who` took more than `peer`, in nanoseconds.
    pub(crate) fn difference(&self, who: usize, peer: usize) -> Option<f64> {
        self.median_of(|round| (round.nanos(who) - round.nanos(peer)) / round.iterations as f64)
    }

    /// The median of a figure of rounds.
    ///
    /// Rounds weigh as much as they have iterations: the short ones, with which a measurement warms
    /// up, hardly count.
    fn median_of(&self, figure: impl Fn(&Round) -> f64) -> Option<f64> {
        let mut figures: Vec<(f64, u64)> =
            self.0.iter().map(|round| (figure(round), round.iterations)).collect();
        figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = figures.iter().map(|&(_, weight)| weight).sum();
        let mut below = 0;
        figures.into_iter().find_map(|(figure, weight)| {
            below += weight;
            (below * 2 >= total).then_some(figure)
        })
    }
}

/// The value that `share` (0 to 1) of the values do not exceed. Sorts them.
///
/// # Panics
///
/// When there are no values.
pub fn percentile(values: &mut [u64], share: f64) -> u64 {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rounds: &[(u64, [u64; 2])]) -> Samples {
        let mut samples = Samples::default();
        for &(iterations, times) in rounds {
            samples.push(iterations, times.map(Duration::from_nanos).to_vec());
        }
        samples
    }

    #[test]
    fn medians_weigh_rounds_by_their_iterations() {
        assert_eq!(rounds(&[]).median(0), None);
        let samples = rounds(&[(1, [900, 300]), (1, [800, 200]), (10, [100, 50])]);
        assert_eq!(samples.median(0), Some(10.0));
        assert_eq!(samples.ratio(0, 1), Some(2.0));
    }

    #[test]
    fn ratios_compare_within_a_round() {
        // The machine slowed down twofold from round to round.
        let samples = rounds(&[(1, [30, 20]), (1, [60, 40]), (1, [120, 80])]);
        assert_eq!(samples.ratio(0, 1), Some(1.5));
        assert_eq!(samples.difference(0, 1), Some(20.0));
        assert_eq!(samples.ratio(0, 0), Some(1.0));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut values, 0.5), 50);
        assert_eq!(percentile(&mut values, 0.99), 99);
        assert_eq!(percentile(&mut values, 1.0), 100);
        assert_eq!(percentile(&mut [7], 0.01), 7);
    }
}
