//! [`Contest`]: the same work done by several contenders, sampled in turns.

use crate::Report;
use crate::report::{Row, Standing};
use crate::samples::Samples;
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
    ///
    /// Each benchmark asks for samples of one contender; the others then do the same number of
    /// iterations right after it.
    pub fn run(mut self, criterion: &mut Criterion, report: &mut Report) {
        let count = self.contenders.len();
        let mut samples = Samples::default();
        let mut group = criterion.benchmark_group(report.title());
        group.sampling_mode(SamplingMode::Flat);
        for first in 0..count {
            let id = BenchmarkId::new(&self.name, self.contenders[first].0);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut times = vec![Duration::ZERO; count];
                    for who in (first..count).chain(0..first) {
                        times[who] = self.contenders[who].1(iterations);
                    }
                    let asked = times[first];
                    samples.push(iterations, times);
                    asked
                });
            });
        }
        group.finish();
        let contenders = self.contenders.iter().enumerate().map(|(who, &(name, _))| {
            Some(Standing { name, median: samples.median(who)?, ratio: samples.ratio(0, who)? })
        });
        // Without samples, the benchmarks were filtered out.
        if let Some(standings) = contenders.collect() {
            report.push(Row { name: self.name, standings });
        }
    }
}
