//! First touches of a memory in many patterns: time, and what becomes resident, on each of our pagers and on
//! Wasmtime's pool, as it comes and tuned.
//!
//! `SEQFAULT_BENCH_ROWS` (a regular expression) selects rows, `SEQFAULT_BENCH_SECONDS` bounds the run. All
//! contenders play each pattern in turns; ratios are medians of pairs of one round.

use seqfault_benches::Selection;
use seqfault_benches::patterns::{Trial, fixed};
use std::time::Duration;

fn main() {
    let mut selection = Selection::new(400);
    let length = if selection.test { Duration::ZERO } else { Duration::from_millis(1200) };
    let mut trial = Trial::new();
    let mut board = Trial::board();
    for pattern in &fixed() {
        if selection.begin(&pattern.name) {
            board.extend(trial.measure(pattern, length));
        }
    }
    selection.finish();
    println!("{board}");
}
