//! [`Selection`]: which rows a run measures, and for how long.

use regex::Regex;
use std::time::{Duration, Instant};

/// What the environment asks for.
#[derive(Debug)]
pub struct Selection {
    rows: Option<Regex>,
    /// No more than a look whether it runs.
    pub test: bool,
    end: Instant,
    left_out: Vec<String>,
}

impl Selection {
    /// The rows whose names match the regular expression in `SEQFAULT_BENCH_ROWS`, as many of them as begin in
    /// `SEQFAULT_BENCH_SECONDS` (else `seconds`); a test if the command line has `--test`, as that of
    /// `cargo test --benches`.
    ///
    /// # Panics
    ///
    /// When a variable is not what it should be.
    pub fn new(seconds: u64) -> Selection {
        let variable = |name| std::env::var(name).ok();
        let rows = variable("SEQFAULT_BENCH_ROWS")
            .map(|text| Regex::new(&text).expect("SEQFAULT_BENCH_ROWS: a regular expression"));
        let seconds = variable("SEQFAULT_BENCH_SECONDS")
            .map_or(seconds, |text| text.parse().expect("SEQFAULT_BENCH_SECONDS: a number"));
        Selection {
            rows,
            test: std::env::args().any(|arg| arg == "--test"),
            end: Instant::now() + Duration::from_secs(seconds),
            left_out: Vec::new(),
        }
    }

    /// Whether the row `name` is asked for, and there is time left for it.
    pub fn begin(&mut self, name: &str) -> bool {
        if self.rows.as_ref().is_some_and(|rows| !rows.is_match(name)) {
            return false;
        }
        let begin = Instant::now() < self.end;
        if !begin {
            self.left_out.push(name.to_owned());
        }
        begin
    }

    /// Says which rows there was no time for.
    pub fn finish(&self) {
        if !self.left_out.is_empty() {
            println!("no time for {} rows: {}", self.left_out.len(), self.left_out.join("; "));
        }
    }
}
