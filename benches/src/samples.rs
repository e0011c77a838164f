//! [`Samples`]: times of one contender, and their median.

use std::time::Duration;

/// What was measured of one contender: iterations, and how long they took.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<(u64, Duration)>);

impl Samples {
    /// Adds a sample of `iterations` that took `time` together.
    pub fn push(&mut self, iterations: u64, time: Duration) {
        if iterations > 0 {
            self.0.push((iterations, time));
        }
    }

    /// The median time of an iteration, in nanoseconds.
    ///
    /// Samples weigh as much as they have iterations: the short ones, with which a measurement warms
    /// up, hardly count.
    pub fn median(&self) -> Option<f64> {
        let mut per_iteration: Vec<(f64, u64)> = self
            .0
            .iter()
            .map(|&(count, time)| (time.as_nanos() as f64 / count as f64, count))
            .collect();
        per_iteration.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = per_iteration.iter().map(|&(_, count)| count).sum();
        let mut below = 0;
        per_iteration.into_iter().find_map(|(time, count)| {
            below += count;
            (below * 2 >= total).then_some(time)
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

    #[test]
    fn the_median_weighs_samples_by_their_iterations() {
        let mut samples = Samples::default();
        assert_eq!(samples.median(), None);
        samples.push(1, Duration::from_nanos(900));
        samples.push(1, Duration::from_nanos(800));
        samples.push(10, Duration::from_nanos(100));
        assert_eq!(samples.median(), Some(10.0));
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
