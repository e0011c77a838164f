//! Rows of the [`Scoreboard`](crate::Scoreboard) for times, compared with those of two peers: Wasmtime's pool as it
//! comes and tuned.

use crate::report::Time;
use crate::samples::Samples;
use crate::scoreboard::Row;
use crate::{Bars, Scoreboard};

/// The columns with bars that [`Row::against`] fills.
pub(crate) const BARRED: [&str; 2] = ["to pool (bar)", "to tuned (bar)"];
/// The other columns that it fills.
pub(crate) const TIMES: [&str; 2] = ["more", "ours, pool, tuned"];

impl Row {
    /// The times of contender `who` against those of the last two.
    pub(crate) fn against(self, bars: Bars, samples: &Samples, who: usize) -> Row {
        let (pool, tuned) = (samples.contenders() - 2, samples.contenders() - 1);
        let more = samples.difference(who, pool);
        // The difference is of one iteration: a pattern as a whole.
        let slack = bars.slack.as_nanos() as f64;
        let excused = slack > 0.0 && more.is_some_and(|more| more <= slack);
        let time = |who| samples.median(who).map_or("-".into(), |nanos| Time(nanos).to_string());
        let more = more.map_or("-".into(), |more| format!("{:+.1} µs", more / 1e3));
        self.judge_unless(excused, samples.ratio(who, pool), bars.to_default)
            .judge(samples.ratio(who, tuned), bars.to_tuned)
            .cell(more)
            .cell([who, pool, tuned].map(time).join(", "))
    }
}

impl Scoreboard {
    /// A table of times against the two peers, with `judged` as further columns with bars.
    pub fn of_times(title: &'static str, judged: &[&'static str]) -> Scoreboard {
        Scoreboard::new(title, &[&BARRED, judged].concat(), &TIMES)
    }
}
