//! First touches of a memory in many patterns: time, and what becomes resident, on each of our pagers and on
//! Wasmtime's pool, as it comes and tuned.
//!
//! Beside a fixed list there is a drawn one, by a seed that is printed (`SEQFAULT_BENCH_SEED` repeats it), so that
//! nothing is tuned to the list.
//!
//! `SEQFAULT_BENCH_HUGE_PAGES=always,madvise,never` runs it for each of these settings of the system.
//! `SEQFAULT_BENCH_ROWS` (a regular expression) selects rows, `SEQFAULT_BENCH_SECONDS` bounds the run. All
//! contenders play each pattern in turns; ratios are medians of pairs of one round.

use seqfault_benches::patterns::{Trial, drawn, fixed};
use seqfault_benches::{Random, Selection, in_each_setting};
use std::time::Duration;

/// How many patterns are drawn.
const DRAWN: usize = 10;

fn main() {
    if in_each_setting() {
        return;
    }
    let mut selection = Selection::new(400);
    let length = if selection.test { Duration::ZERO } else { Duration::from_millis(1200) };
    let mut trial = Trial::new();
    let mut board = Trial::board();
    let drawn = drawn(&mut Random::seeded(), DRAWN);
    for pattern in fixed().iter().chain(&drawn) {
        if selection.begin(&pattern.name) {
            if !pattern.about.is_empty() {
                println!("{}: {}", pattern.name, pattern.about);
            }
            board.extend(trial.measure(pattern, length));
        }
    }
    selection.finish();
    println!("{board}");
}
