//! [`Trial`]: contenders play the same pattern in turns.

use super::{Pattern, Play, ours, theirs};
use crate::against::POOLS;
use crate::bars::most_resident;
use crate::samples::Samples;
use crate::scoreboard::Row;
use crate::{Bars, HugePages, Probe, Scoreboard, engines};
use seqfault::PagerKind;
use std::time::{Duration, Instant};

/// Rounds of the shortest and of the longest trial.
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=31;

type Player = Box<dyn FnMut(&Pattern, Option<&Probe>) -> Play>;

/// Contenders: some of ours, and Wasmtime's pool as it comes and tuned.
#[allow(missing_debug_implementations)]
pub struct Trial {
    /// The peers are the last two.
    contenders: Vec<(&'static str, Player)>,
    probe: Probe,
    huge: HugePages,
}

impl Trial {
    /// Seqfault with each pager that this system has, and the peers.
    pub fn new() -> Trial {
        let mut contenders: Vec<(&'static str, Player)> = Vec::new();
        for (name, pager) in [("uffd", PagerKind::Uffd), ("protect", PagerKind::Protect)] {
            match seqfault_mm::RegionOptions::new(1 << 16).pager(pager).build() {
                Ok(_) => {
                    let mut player = ours::Player::new(&engines::ours(pager)).expect("an engine");
                    let play = move |pattern: &_, probe: Option<&_>| player.play(pattern, probe);
                    contenders.push((name, Box::new(play)));
                }
                Err(error) => println!("without {name}: {error}"),
            }
        }
        for (name, config) in [("pool", engines::pooling(16)), ("tuned", engines::tuned(16))] {
            let mut player = theirs::Player::new(&config).expect("an engine");
            let play = move |pattern: &_, probe: Option<&_>| player.play(pattern, probe);
            contenders.push((name, Box::new(play)));
        }
        Trial { contenders, probe: Probe::new(), huge: HugePages::now() }
    }

    /// Plays `pattern` round after round for about `length`; a row for each of ours.
    pub fn measure(&mut self, pattern: &Pattern, length: Duration) -> Vec<Row> {
        let (mut runs, mut ends) = (Samples::default(), Samples::default());
        let begin = Instant::now();
        for round in 0..=*ROUNDS.end() {
            let plays = self.round(pattern, round, false);
            let sums: Vec<u64> = plays.iter().map(|play| play.sum).collect();
            assert!(sums.windows(2).all(|two| two[0] == two[1]), "{}: {sums:?}", pattern.name);
            // The first one warms up.
            if round > 0 || length.is_zero() {
                runs.push(1, plays.iter().map(|play| play.run).collect());
                ends.push(1, plays.iter().map(|play| play.end).collect());
            }
            let enough = length.is_zero() || round >= *ROUNDS.start();
            if enough && begin.elapsed() >= length {
                break;
            }
        }
        let looks = self.round(pattern, 0, true);
        let rows = 0..self.contenders.len() - 2;
        rows.map(|who| self.row(pattern, who, &runs, &ends, &looks)).collect()
    }

    /// All contenders once, each round beginning with another one.
    fn round(&mut self, pattern: &Pattern, round: usize, look: bool) -> Vec<Play> {
        let count = self.contenders.len();
        let mut plays: Vec<Option<Play>> = vec![None; count];
        for at in 0..count {
            let who = (at + round) % count;
            let probe = look.then_some(&self.probe);
            plays[who] = Some((self.contenders[who].1)(pattern, probe));
        }
        plays.into_iter().flatten().collect()
    }

    fn row(
        &self,
        pattern: &Pattern,
        who: usize,
        runs: &Samples,
        ends: &Samples,
        looks: &[Play],
    ) -> Row {
        let (default, tuned) = (looks.len() - 2, looks.len() - 1);
        let figures = |who: usize| looks[who].figures.clone().unwrap_or_default();
        let (ours, theirs) = (figures(who), figures(default));
        let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
        let most = theirs.resident.and_then(|peers| most_resident(peers, self.huge));
        let to = |peer| ends.ratio(who, peer).unwrap_or(f64::NAN);
        let resident = ours.resident.zip(most).map(|(ours, most)| ours as f64 / most as f64);
        Row::new(&pattern.name, self.contenders[who].0)
            .against(Bars::of(pattern.kind, self.huge), runs, who, POOLS.len())
            .judge(resident, 1.0)
            .cell(format!(
                "{}, {}, {}",
                number(ours.resident),
                number(theirs.resident),
                pattern.touched()
            ))
            .cell(format!("{}, {}", number(ours.huge), number(theirs.huge)))
            .cell(ours.signals)
            .cell(format!("{}, {}", ours.faults, theirs.faults))
            .cell(format!("{}, {}", number(ours.calls), number(theirs.calls)))
            .cell(format!("{}, {}", ours.switches, theirs.switches))
            .cell(format!("{}, {}", ours.maps, theirs.maps))
            .cell(format!("{:.2}, {:.2}", to(default), to(tuned)))
    }

    /// The table for rows of a trial. Counts are of pages; pairs are ours and those of the pool as it comes.
    pub fn board() -> Scoreboard {
        let judged = ["resident, to the most allowed"];
        let others = [
            "resident: ours, pool's, touched",
            "of them huge",
            "signals",
            "kernel's faults",
            "system calls",
            "switches",
            "maps",
            "drop, to pool, to tuned",
        ];
        Scoreboard::of_times("patterns", &POOLS, &judged, &others)
    }
}

impl Default for Trial {
    fn default() -> Trial {
        Trial::new()
    }
}
