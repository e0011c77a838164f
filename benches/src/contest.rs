//! [`Contest`]: the same work done by several contenders, sampled in turns.

use crate::report::{Row, Standing};
use crate::samples::Samples;
use crate::{Bars, HugePages, Kind, Report, Scoreboard, scoreboard};
use criterion::{BenchmarkId, Criterion, SamplingMode};
use std::time::Duration;

/// Does a number of iterations and says how long they took.
type Work<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// The same work done by several contenders. The first one is ours, the others its peers.
pub struct Contest<'a> {
    name: String,
    contenders: Vec<(&'static str, Work<'a>)>,
}

impl std::fmt::Debug for Contest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.contenders.iter().map(|(name, _)| name).collect();
        f.debug_struct("Contest").field("name", &self.name).field("contenders", &names).finish()
    }
}

impl<'a> Contest<'a> {
    /// A contest without contenders.
    pub fn new(name: impl Into<String>) -> Contest<'a> {
        Contest { name: name.into(), contenders: Vec::new() }
    }

    /// Adds a contender: `work` does as many iterations as it is told and returns their time.
    #[must_use]
    pub fn contender(
        mut self,
        name: &'static str,
        work: impl FnMut(u64) -> Duration + 'a,
    ) -> Contest<'a> {
        self.contenders.push((name, Box::new(work)));
        self
    }

    /// Measures all contenders, each as a benchmark of criterion's group `report.title()`, and adds
    /// their medians and ratios to the report.
    pub fn run(mut self, criterion: &mut Criterion, report: &mut Report) {
        let samples = self.sample(criterion, report.title(), self.contenders.len());
        let contenders = self.contenders.iter().enumerate().map(|(who, &(name, _))| {
            Some(Standing { name, median: samples.median(who)?, ratio: samples.ratio(0, who)? })
        });
        // Without samples, the benchmarks were filtered out.
        if let Some(standings) = contenders.collect() {
            report.push(Row { name: self.name, standings });
        }
    }

    /// Measures all contenders and adds a row for each of ours to `board`, by the bars for `kind`. The last
    /// contenders are the `peers`, one or two. Returns the median of each of ours, in
    /// nanoseconds.
    ///
    /// For criterion it is one benchmark, that of the first contender: it decides how long the others work.
    pub fn compete(
        mut self,
        kind: Kind,
        peers: usize,
        criterion: &mut Criterion,
        board: &mut Scoreboard,
    ) -> Vec<(&'static str, f64)> {
        let samples = self.sample(criterion, board.title(), 1);
        let bars = Bars::of(kind, HugePages::now());
        let mut medians = Vec::new();
        for who in 0..samples.contenders().saturating_sub(peers) {
            let name = self.contenders[who].0;
            let row = scoreboard::Row::new(&self.name, name).against(bars, &samples, who, peers);
            board.extend([row]);
            medians.extend(samples.median(who).map(|median| (name, median)));
        }
        medians
    }

    /// Measures all contenders; for each, the median of its time in nanoseconds, and that of how many times as long the last
    /// one took. Empty if it was filtered out.
    ///
    /// For criterion it is one benchmark of the group `group`, that of the first contender.
    pub fn last_to_each(mut self, criterion: &mut Criterion, group: &str) -> Vec<(f64, f64)> {
        let samples = self.sample(criterion, group, 1);
        let count = samples.contenders();
        (0..count)
            .filter_map(|who| Some((samples.median(who)?, samples.ratio(count - 1, who)?)))
            .collect()
    }

    /// Samples of all contenders: each of the first `asking` ones is a benchmark of criterion's group `group`,
    /// which asks for samples of it; the others then do the same number of iterations beside it.
    fn sample(&mut self, criterion: &mut Criterion, group: &str, asking: usize) -> Samples {
        let count = self.contenders.len();
        let mut samples = Samples::default();
        let mut group = criterion.benchmark_group(group);
        group.sampling_mode(SamplingMode::Flat);
        let mut rounds = 0..;
        for first in 0..asking {
            let id = BenchmarkId::new(&self.name, self.contenders[first].0);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut times = vec![Duration::ZERO; count];
                    // Every contender begins as often as the others.
                    let begin = rounds.next().map_or(0, |round: usize| round % count);
                    for who in (begin..count).chain(0..begin) {
                        times[who] = self.contenders[who].1(iterations);
                    }
                    let asked = times[first];
                    samples.push(iterations, times);
                    asked
                });
            });
        }
        group.finish();
        samples
    }
}
