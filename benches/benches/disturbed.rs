//! Latency and throughput of one thread's faults while another thread discards in the same region.
//!
//! One thread touches the granules of one half of a region in random order; another fills 64 MiB of the other half and
//! discards them, range after range, round and round. The region speculates with sharded counts, with one count for
//! all (the classic design of the idea), or not at all (a lock); and, for comparison, nothing disturbs it. All modes
//! take short turns in one run. Criterion has no place for percentiles, so this bench prints tables of its own: one of
//! the faults that began while a discard was under way, one of all faults, those beside the filling included.

use seqfault_benches::{percentile, shuffled};
use seqfault_mm::{Counters, GRANULE_SIZE, PagerKind, Region, RegionOptions};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the region.
const SIZE: usize = 256 << 20;
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
    Mode { name: "quiet", shards: 256, speculation: true, disturbed: false },
    Mode { name: "sharded", shards: 256, speculation: true, disturbed: true },
    Mode { name: "one shard", shards: 1, speculation: true, disturbed: true },
    Mode { name: "classic", shards: 256, speculation: false, disturbed: true },
];

fn main() {
    // What `cargo test --benches` passes: see that it runs, measure nothing.
    let test = std::env::args().any(|arg| arg == "--test");
    let (rounds, turn) = match test {
        true => (1, Duration::from_millis(5)),
        false => (12, Duration::from_millis(500)),
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
        let [quiet, disturbed @ ..] = &outcomes;
        let during = |outcome: &Outcome| {
            outcome.faults.iter().filter(|fault| fault.during).copied().collect()
        };
        let mut faults = vec![quiet.faults.clone()];
        faults.extend(disturbed.iter().map(during));
        print_table(&format!("{name}: faults that began during a discard"), &faults);
        print_table(
            &format!("{name}: all faults"),
            &outcomes.each_ref().map(|outcome| outcome.faults.clone()),
        );
        print_discards(&outcomes, &regions);
    }
}

/// One fault.
#[derive(Clone, Copy)]
struct Sample {
    time: Duration,
    /// A discard was under way when it began.
    during: bool,
}

/// What was seen of one mode.
#[derive(Default)]
struct Outcome {
    faults: Vec<Sample>,
    discards: Vec<Duration>,
}

impl Outcome {
    /// Touches for a while, with or without a thread that discards.
    fn turn(&mut self, region: &Region, disturbed: bool, seed: usize, length: Duration) {
        let order = shuffled(DISCARDED / GRANULE_SIZE, seed as u64);
        let signals = Signals::default();
        thread::scope(|scope| {
            let discarder = disturbed.then(|| scope.spawn(|| discard_until(region, &signals)));
            self.touch(region, &order, length, &signals);
            signals.stop.store(true, Ordering::Relaxed);
            if let Some(discarder) = discarder {
                self.discards.extend(discarder.join().expect("no panic"));
            }
        });
        // What it holds goes back: the other modes' regions need it.
        region.reset(SIZE).expect("reset");
    }

    /// Touches granules for `length`; empties their half when it is full, off the clock.
    fn touch(&mut self, region: &Region, order: &[usize], length: Duration, signals: &Signals) {
        let begin = Instant::now();
        while begin.elapsed() < length {
            for &granule in order {
                let during = signals.discarding.load(Ordering::Relaxed);
                let start = Instant::now();
                region.write(granule * GRANULE_SIZE, &[1]).expect("accessible");
                self.faults.push(Sample { time: start.elapsed(), during });
            }
            region.discard(0..DISCARDED).expect("discarded");
        }
    }
}

/// What the two threads tell each other. Relaxed: nothing but the flags themselves is passed on.
#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    discarding: AtomicBool,
}

/// Fills and discards range after range; the time of each discard.
fn discard_until(region: &Region, signals: &Signals) -> Vec<Duration> {
    let starts = (DISCARDED..SIZE).step_by(RANGE).cycle();
    let discard = |start: usize| {
        region.fill(start, 1, RANGE).expect("accessible");
        let begin = Instant::now();
        signals.discarding.store(true, Ordering::Relaxed);
        region.discard(start..start + RANGE).expect("discarded");
        signals.discarding.store(false, Ordering::Relaxed);
        begin.elapsed()
    };
    starts.take_while(|_| !signals.stop.load(Ordering::Relaxed)).map(discard).collect()
}

/// The figures of a mode.
struct Figures {
    faults: usize,
    per_second: f64,
    p50: u64,
    p99: u64,
    p999: u64,
}

impl Figures {
    fn of(faults: &[Sample]) -> Option<Figures> {
        if faults.is_empty() {
            return None;
        }
        let mut times: Vec<u64> = faults.iter().map(|fault| fault.time.as_nanos() as u64).collect();
        let seconds = times.iter().sum::<u64>() as f64 / 1e9;
        Some(Figures {
            faults: faults.len(),
            per_second: faults.len() as f64 / seconds,
            p50: percentile(&mut times, 0.5),
            p99: percentile(&mut times, 0.99),
            p999: percentile(&mut times, 0.999),
        })
    }
}

fn print_table(title: &str, faults: &[Vec<Sample>]) {
    let Some(figures) = faults.iter().map(|faults| Figures::of(faults)).collect::<Option<Vec<_>>>()
    else {
        println!("{title}: too short a run for a table");
        return;
    };
    println!("{title}, against quiet, and absolute (µs)");
    println!("  mode       throughput    p99 |  faults faults/s      p50      p99    p99.9");
    let quiet = &figures[0];
    for (mode, now) in MODES.iter().zip(&figures) {
        println!(
            "  {:<10} {:>10.3} {:>6.1} | {:>7} {:>8.0} {} {} {}",
            mode.name,
            now.per_second / quiet.per_second,
            now.p99 as f64 / quiet.p99 as f64,
            now.faults,
            now.per_second,
            Micros(now.p50),
            Micros(now.p99),
            Micros(now.p999),
        );
    }
    let (sharded, classic) = (&figures[1], &figures[3]);
    println!(
        "  sharded against classic: throughput {:.1}x, p99 {:.3}x\n",
        sharded.per_second / classic.per_second,
        sharded.p99 as f64 / classic.p99 as f64
    );
}

/// What the discards took, and what they did to the faults that speculated.
fn print_discards(outcomes: &[Outcome], regions: &[Region]) {
    for ((mode, outcome), region) in MODES.iter().zip(outcomes).zip(regions) {
        let mut times: Vec<u64> =
            outcome.discards.iter().map(|time| time.as_nanos() as u64).collect();
        if !times.is_empty() {
            let (count, median) = (times.len(), Micros(percentile(&mut times, 0.5)));
            println!(
                "  {:<10} {count} discards, median {median} µs; {}",
                mode.name,
                Aborts(region.counters())
            );
        }
    }
    println!();
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
