//! First touches of a memory in many patterns: time, and what becomes resident, on each of our pagers and on
//! Wasmtime's pool, as it comes and tuned.
//!
//! `SEQFAULT_BENCH_ROWS` (a regular expression) selects rows, `SEQFAULT_BENCH_SECONDS` bounds the run. All
//! contenders play each pattern in turns; ratios are medians of pairs of one round.

use seqfault_benches::patterns::{COLUMNS, Trial, fixed};
use seqfault_benches::{HugePages, Scoreboard, Selection};
use std::time::Duration;

fn main() {
    let mut selection = Selection::new(400);
    let length = if selection.test { Duration::ZERO } else { Duration::from_millis(1200) };
    let title = format!("patterns, transparent huge pages: {}", HugePages::now().name());
    let mut board = Scoreboard::new(title, &COLUMNS);
    let mut trial = Trial::new();
    for pattern in &fixed() {
        if selection.begin(&pattern.name) {
            board.extend(trial.measure(pattern, length));
        }
    }
    selection.finish();
    println!("{board}");
}
