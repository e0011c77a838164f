//! Rows of the [`Scoreboard`](crate::Scoreboard) for times, compared with those of peers.

use crate::report::Time;
use crate::samples::Samples;
use crate::scoreboard::Row;
use crate::{Bars, Scoreboard};

/// Wasmtime's pool as it comes, and tuned.
pub const POOLS: [&str; 2] = ["pool", "tuned"];

impl Row {
    /// The times of contender `who` against those of the last `peers`, of which there are one or two.
    pub(crate) fn against(self, bars: Bars, samples: &Samples, who: usize, peers: usize) -> Row {
        let peers: Vec<usize> = (samples.contenders() - peers..samples.contenders()).collect();
        let more = samples.difference(who, peers[0]);
        // The difference is of one iteration: a pattern as a whole.
        let slack = bars.slack.as_nanos() as f64;
        let excused = slack > 0.0 && more.is_some_and(|more| more <= slack);
        let mut row = self.judge_unless(excused, samples.ratio(who, peers[0]), bars.to_default);
        if let Some(&tuned) = peers.get(1) {
            row = row.judge(samples.ratio(who, tuned), bars.to_tuned);
        }
        let time = |who| samples.median(who).map_or("-".into(), |nanos| Time(nanos).to_string());
        let times: Vec<String> = [who].into_iter().chain(peers).map(time).collect();
        let sign = if more.is_some_and(|more| more < 0.0) { '-' } else { '+' };
        row.cell(more.map_or("-".into(), |more| format!("{sign}{}", Time(more.abs()))))
            .cell(times.join(", "))
    }
}

impl Scoreboard {
    /// A table of times against the `peers`, with further columns, `judged` by bars and others.
    pub fn of_times(
        title: &'static str,
        peers: &[&str],
        judged: &[&str],
        cells: &[&str],
    ) -> Scoreboard {
        let to = |peer: &&str| format!("to {peer} (bar)");
        let judged = peers.iter().map(to).chain(judged.iter().map(ToString::to_string));
        let times = ["more".to_owned(), format!("ours, {}", peers.join(", "))];
        let cells = times.into_iter().chain(cells.iter().map(ToString::to_string));
        Scoreboard::new(title, judged.collect(), cells.collect())
    }
}
