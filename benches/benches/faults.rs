//! What `seqfault-mm` costs by itself: faults with each pager and window, growth, discards, look-ups of addresses, and
//! an ebizzy-like mixture on two threads.
//!
//! A contest's first contender is what its others are compared with: the pager that this system
//! would choose, the smallest window, and speculation with sharded counts.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Report, in_parallel, shuffled};
use seqfault_mm::{GRANULE_SIZE, PAGE_SIZE, PagerKind, Region, RegionOptions, is_managed};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes of the regions that are measured.
const SIZE: usize = 64 << 20;

/// Measures a number of iterations in an otherwise unused region.
type Measure = fn(&Region, u64) -> Duration;

const PAGERS: [(&str, PagerKind); 3] =
    [("uffd", PagerKind::Uffd), ("protect", PagerKind::Protect), ("eager", PagerKind::Eager)];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400))
        .configure_from_args();
    let mut report = Report::new("faults");
    let pagers = PAGERS.into_iter().filter(|&(name, pager)| is_available(name, pager));
    let pagers: Vec<_> = pagers.collect();

    let contests: [(&str, Measure); 6] = [
        ("sparse_window", touch_sparsely),
        ("random_64_mib", touch_randomly),
        ("dense_page", touch_densely),
        ("grow_64_kib", grow),
        ("discard_64_kib", |region, count| discard(region, GRANULE_SIZE, count)),
        ("discard_64_mib", |region, count| discard(region, SIZE, count)),
    ];
    for (name, measure) in contests {
        let regions = pagers.iter().map(|&(name, pager)| (name, region(pager)));
        let contest = regions.fold(Contest::new(name), |contest, (name, region)| {
            contest.contender(name, move |count| measure(&region, count))
        });
        contest.run(&mut criterion, &mut report);
    }
    let lazy = pagers.iter().filter(|&&(_, pager)| pager != PagerKind::Eager);
    for &(name, pager) in lazy.clone() {
        let regions = WINDOWS.map(|(name, bytes)| (name, region_of_windows(pager, bytes)));
        let contest = regions.into_iter().fold(
            Contest::new(format!("window/{name}")),
            |contest, (name, region)| {
                contest.contender(name, move |count| touch_densely(&region, count))
            },
        );
        contest.run(&mut criterion, &mut report);
    }
    let regions: Vec<Region> = (0..100).map(|_| region(PagerKind::Auto)).collect();
    let inside: Vec<usize> = regions.iter().map(|region| region.base().addr() + SIZE / 2).collect();
    let outside: Vec<usize> = (0..100).map(|at| (1 << 40) + (at << 32)).collect();
    Contest::new("look_up")
        .contender("managed", |count| look_up(&inside, true, count))
        .contender("foreign", |count| look_up(&outside, false, count))
        .run(&mut criterion, &mut report);
    for &(name, pager) in lazy {
        let options = RegionOptions::new(EBIZZY_SIZE).accessible(EBIZZY_SIZE).pager(pager);
        Contest::new(format!("ebizzy/{name}"))
            .contender("speculative", ebizzy(options.clone()))
            .contender("one-shard", ebizzy(options.clone().shards(1)))
            .contender("classic", ebizzy(options.speculation(false)))
            .run(&mut criterion, &mut report);
    }
    criterion.final_summary();
    println!("{report}");
}

fn is_available(name: &str, pager: PagerKind) -> bool {
    let built = RegionOptions::new(GRANULE_SIZE).pager(pager).build();
    if let Err(error) = &built {
        println!("without {name}: {error}");
    }
    built.is_ok()
}

fn region(pager: PagerKind) -> Region {
    RegionOptions::new(SIZE).accessible(SIZE).pager(pager).build().expect("address space")
}

/// The windows that are compared: each fault brings exactly as much.
const WINDOWS: [(&str, usize); 4] =
    [("64 KiB", 64 << 10), ("256 KiB", 256 << 10), ("1 MiB", 1 << 20), ("2 MiB", 2 << 20)];

fn region_of_windows(pager: PagerKind, bytes: usize) -> Region {
    let options = RegionOptions::new(SIZE).accessible(SIZE).pager(pager);
    options.fault_around(bytes..=bytes).build().expect("address space")
}

/// Looks addresses up, as the handler does with each fault.
fn look_up(addresses: &[usize], managed: bool, count: u64) -> Duration {
    Clock::Thread.time(|| {
        for &addr in addresses.iter().cycle().take(count as usize) {
            assert_eq!(is_managed(black_box(addr)), managed);
        }
    })
}

fn touch(region: &Region, offset: usize) {
    region.write(offset, &[1]).expect("accessible");
}

/// Touches pages so far apart that each touch brings the smallest window.
fn touch_sparsely(region: &Region, count: u64) -> Duration {
    let order = shuffled(SIZE / GRANULE_SIZE, 1);
    rounds(region, count, order.len(), |at| order[at] * GRANULE_SIZE)
}

/// Touches all pages in random order.
fn touch_randomly(region: &Region, count: u64) -> Duration {
    let order = shuffled(SIZE / PAGE_SIZE, 1);
    let all = count * order.len() as u64;
    rounds(region, all, order.len(), |at| order[at] * PAGE_SIZE)
}

/// Touches page after page: windows grow up to the largest.
fn touch_densely(region: &Region, count: u64) -> Duration {
    rounds(region, count, SIZE / PAGE_SIZE, |at| at * PAGE_SIZE)
}

/// `count` touches, starting over in an empty region after each `length` of them.
fn rounds(region: &Region, count: u64, length: usize, offset: impl Fn(usize) -> usize) -> Duration {
    let mut time = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        region.reset(SIZE).expect("reset");
        let now = left.min(length as u64);
        left -= now;
        time += Clock::Thread.time(|| {
            for at in 0..now as usize {
                touch(region, offset(at));
            }
        });
    }
    time
}

/// Growth by a granule, without a touch.
fn grow(region: &Region, count: u64) -> Duration {
    let mut time = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        region.reset(0).expect("reset");
        let now = left.min((SIZE / GRANULE_SIZE) as u64);
        left -= now;
        time += Clock::Thread.time(|| {
            for granules in 1..=now as usize {
                region.grow(granules * GRANULE_SIZE).expect("room");
            }
        });
    }
    time
}

/// Discards `bytes`, all of which have been touched.
fn discard(region: &Region, bytes: usize, count: u64) -> Duration {
    region.reset(SIZE).expect("reset");
    let one = |_| {
        for page in 0..bytes / PAGE_SIZE {
            touch(region, page * PAGE_SIZE);
        }
        Clock::Thread.time(|| region.discard(0..bytes).expect("discarded"))
    };
    (0..count).map(one).sum()
}

/// Bytes of the region that the ebizzy-like threads share.
const EBIZZY_SIZE: usize = 256 << 20;
/// Bytes of a record; the first one in the region is what all others are copied from.
const RECORD: usize = 256 << 10;

/// As ebizzy does: two threads allocate records in one region, copy into them, search them, and give
/// them back. The figure is the time of a record on each thread, by the wall clock.
fn ebizzy(options: RegionOptions) -> impl FnMut(u64) -> Duration {
    let region = options.build().expect("address space");
    let values: Vec<u8> = (0..RECORD as u32 / 4).flat_map(|n| (n * 3).to_le_bytes()).collect();
    region.write(0, &values).expect("accessible");
    move |count| {
        let thread = AtomicUsize::new(0);
        in_parallel(2, count, |count| {
            // Relaxed: only tells the threads apart.
            let first = 1 + thread.fetch_add(1, Ordering::Relaxed);
            let places = shuffled((EBIZZY_SIZE / RECORD - 3) / 2, first as u64);
            Clock::Wall.time(|| {
                for &place in places.iter().cycle().take(count as usize) {
                    let start = (first + 2 * place) * RECORD;
                    Region::copy((&region, start), (&region, 0), RECORD).expect("accessible");
                    let wanted = place as u32 * 3;
                    assert_eq!(search(&region, start, wanted), Some(place), "a wrong byte");
                    region.discard(start..start + RECORD).expect("discarded");
                }
            })
        })
    }
}

/// Where in the record at `start` the value `wanted` is, by bisection.
fn search(region: &Region, start: usize, wanted: u32) -> Option<usize> {
    let (mut low, mut high) = (0, RECORD / 4);
    while low < high {
        let middle = low.midpoint(high);
        let mut bytes = [0; 4];
        region.read(start + middle * 4, &mut bytes).expect("accessible");
        match u32::from_le_bytes(bytes).cmp(&wanted) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(middle),
        }
    }
    None
}
