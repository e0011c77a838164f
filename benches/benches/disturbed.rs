//! Latency and throughput of one thread's faults while another thread discards in the same region.
//!
//! One thread touches the granules of one half of a region in random order; another fills 64 MiB of the
//! other half and discards them, range after range, round and
//! round. The region speculates with sharded counts, with one count for all (the classic design of
//! the idea), or not at all (a lock); and, for comparison, nothing disturbs it. All modes take short
//! turns in one run. Criterion has no place for percentiles, so this bench prints a table of its own.

use seqfault_benches::{percentile, shuffled};
use seqfault_mm::{Counters, GRANULE_SIZE, PagerKind, Region, RegionOptions};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the region.
const SIZE: usize = 1 << 30;
/// Where the half begins in which ranges are filled and discarded; before it, granules are touched.
const DISCARDED: usize = SIZE / 2;
/// Bytes of a discard.
const RANGE: usize = 64 << 20;
/// How a region is set up, and whether it is disturbed.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    shards: usize,
    speculation: bool,
    disturbed: bool,
}

const MODES: [Mode; 4] = [
    Mode { name: "quiet", shards: 64, speculation: true, disturbed: false },
    Mode { name: "sharded", shards: 64, speculation: true, disturbed: true },
    Mode { name: "one shard", shards: 1, speculation: true, disturbed: true },
    Mode { name: "classic", shards: 64, speculation: false, disturbed: true },
];

fn main() {
    // What `cargo test --benches` passes: see that it runs, measure nothing.
    let test = std::env::args().any(|arg| arg == "--test");
    let (rounds, turn) = match test {
        true => (1, Duration::from_millis(5)),
        false => (12, Duration::from_millis(250)),
    };
    for (name, pager) in [("uffd", PagerKind::Uffd), ("protect", PagerKind::Protect)] {
        let open = |mode: Mode| {
            let options = RegionOptions::new(SIZE).accessible(SIZE).pager(pager);
            options.shards(mode.shards).speculation(mode.speculation).build()
        };
        let regions = match MODES.into_iter().map(open).collect::<Result<Vec<_>, _>>() {
            Ok(regions) => regions,
            Err(error) => {
                println!("without {name}: {error}");
                continue;
            }
        };
        let mut outcomes = MODES.map(|_| Outcome::default());
        for round in 0..rounds {
            for at in 0..MODES.len() {
                let which = (round + at) % MODES.len();
                outcomes[which].turn(&regions[which], MODES[which].disturbed, round, turn);
            }
        }
        print_table(name, &mut outcomes, &regions);
    }
}

/// What was seen of one mode.
#[derive(Default)]
struct Outcome {
    /// Nanoseconds of each fault.
    latencies: Vec<u64>,
    /// How long the thread was touching.
    time: Duration,
    discards: u64,
}

impl Outcome {
    /// Touches for a while, with or without a thread that discards.
    fn turn(&mut self, region: &Region, disturbed: bool, seed: usize, length: Duration) {
        let order = shuffled(DISCARDED / GRANULE_SIZE, seed as u64);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let discarder = disturbed.then(|| scope.spawn(|| discard_until(region, &stop)));
            self.touch(region, &order, length);
            // Relaxed: nothing but the flag itself is passed on.
            stop.store(true, Ordering::Relaxed);
            if let Some(discarder) = discarder {
                self.discards += discarder.join().expect("no panic");
            }
        });
        // What it holds goes back: the other modes' regions need it.
        region.reset(SIZE).expect("reset");
    }

    /// Touches granules for `length`; empties their half when it is full, off the clock.
    fn touch(&mut self, region: &Region, order: &[usize], length: Duration) {
        let mut touched = Duration::ZERO;
        while touched < length {
            for &granule in order {
                let start = Instant::now();
                region.write(granule * GRANULE_SIZE, &[1]).expect("accessible");
                let time = start.elapsed();
                touched += time;
                self.latencies.push(time.as_nanos() as u64);
                if touched >= length {
                    break;
                }
            }
            region.discard(0..DISCARDED).expect("discarded");
        }
        self.time += touched;
    }
}

/// Fills and discards range after range; how many.
fn discard_until(region: &Region, stop: &AtomicBool) -> u64 {
    let starts = (DISCARDED..SIZE).step_by(RANGE).cycle();
    let mut discards = 0;
    for start in starts.take_while(|_| !stop.load(Ordering::Relaxed)) {
        region.fill(start, 1, RANGE).expect("accessible");
        region.discard(start..start + RANGE).expect("discarded");
        discards += 1;
    }
    discards
}

/// The figures of a mode.
struct Figures {
    per_second: f64,
    p50: u64,
    p99: u64,
    p999: u64,
}

impl Figures {
    fn of(outcome: &mut Outcome) -> Option<Figures> {
        let latencies = &mut outcome.latencies;
        if latencies.is_empty() {
            return None;
        }
        Some(Figures {
            per_second: latencies.len() as f64 / outcome.time.as_secs_f64(),
            p50: percentile(latencies, 0.5),
            p99: percentile(latencies, 0.99),
            p999: percentile(latencies, 0.999),
        })
    }
}

fn print_table(pager: &str, outcomes: &mut [Outcome; 4], regions: &[Region]) {
    let Some(figures) =
        outcomes.each_mut().map(Figures::of).into_iter().collect::<Option<Vec<_>>>()
    else {
        println!("{pager}: too short a run for a table");
        return;
    };
    println!("{pager}: faults of one thread, against quiet, and absolute (µs)");
    println!(
        "  mode       throughput    p99 | faults/s      p50      p99    p99.9  discards/s  aborts"
    );
    let quiet = &figures[0];
    for (((mode, outcome), now), region) in MODES.iter().zip(outcomes).zip(&figures).zip(regions) {
        println!(
            "  {:<10} {:>10.2} {:>6.1} | {:>8.0} {} {} {} {:>11.1}  {}",
            mode.name,
            now.per_second / quiet.per_second,
            now.p99 as f64 / quiet.p99 as f64,
            now.per_second,
            Micros(now.p50),
            Micros(now.p99),
            Micros(now.p999),
            outcome.discards as f64 / outcome.time.as_secs_f64(),
            Aborts(region.counters()),
        );
    }
    let (sharded, classic) = (&figures[1], &figures[3]);
    println!(
        "  sharded against classic: throughput {:.1}x, p99 {:.3}x\n",
        sharded.per_second / classic.per_second,
        sharded.p99 as f64 / classic.p99 as f64
    );
}

/// Nanoseconds, shown as microseconds.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.1}", self.0 as f64 / 1000.0)
    }
}

/// The share of faults that speculated and gave up, and why.
struct Aborts(Counters);

impl fmt::Display for Aborts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { attempts, pages_odd, pages_changed, claim_lost, .. } = self.0;
        if attempts == 0 {
            return f.write_str("-");
        }
        let share = |count: u64| 100.0 * count as f64 / attempts as f64;
        write!(
            f,
            "pages odd {:.1}%, pages changed {:.1}%, claim lost {:.1}%",
            share(pages_odd),
            share(pages_changed),
            share(claim_lost)
        )
    }
}
