//! [`Contest`]: the same work done by several contenders, sampled in turns.

use crate::report::Row;
use crate::{Report, Samples};
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
    /// their medians to the report.
    ///
    /// Each benchmark asks for samples of one contender; the others then do the same number of
    /// iterations right after it.
    pub fn run(mut self, criterion: &mut Criterion, report: &mut Report) {
        let count = self.contenders.len();
        let mut samples = vec![Samples::default(); count];
        let mut group = criterion.benchmark_group(report.title());
        group.sampling_mode(SamplingMode::Flat);
        for first in 0..count {
            let id = BenchmarkId::new(&self.name, self.contenders[first].0);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut asked = Duration::ZERO;
                    for turn in 0..count {
                        let who = (first + turn) % count;
                        let time = self.contenders[who].1(iterations);
                        samples[who].push(iterations, time);
                        if who == first {
                            asked = time;
                        }
                    }
                    asked
                });
            });
        }
        group.finish();
        let names = self.contenders.iter().map(|&(name, _)| name);
        let medians: Option<Vec<_>> =
            names.zip(&samples).map(|(n, s)| Some((n, s.median()?))).collect();
        // Without samples, the benchmarks were filtered out.
        if let Some(medians) = medians {
            report.push(Row { name: self.name, medians });
        }
    }
}
