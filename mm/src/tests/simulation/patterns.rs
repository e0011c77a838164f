//! Patterns: traces of real programs (`mm/traces`), the fixed patterns that bars are set for, and drawn ones.

use super::trace::{Event, decode, encode};
use crate::space::GRANULE_PAGES;
use crate::tests::random::Random;

/// A named trace.
pub(super) struct Pattern {
    pub(super) name: String,
    pub(super) events: Vec<Event>,
    /// How many different things it does one after another, each of which has to be learned.
    pub(super) runs: usize,
}

/// Pages of 128 MiB.
const PAGES: usize = 1 << 15;

macro_rules! recorded {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("../../../traces/", $name, ".trace")).as_slice())),*]
    };
}

/// Those that were recorded.
pub(super) fn recorded() -> Vec<Pattern> {
    let files =
        recorded!("clang" "cpython" "cpython-start" "hash" "pandoc" "quickjs" "sort" "yosys");
    let read = |(name, file): (&str, &[u8])| {
        let events = decode(file).unwrap_or_else(|| panic!("{name} is no trace"));
        assert_eq!(encode(&events), file, "{name} is stored in another way");
        Pattern { name: name.into(), events, runs: 1 }
    };
    files.map(read).into()
}

fn stores(name: impl Into<String>, pages: impl IntoIterator<Item = usize>) -> Pattern {
    let events = [Event::Grow(PAGES)].into_iter().chain(pages.into_iter().map(Event::Store));
    Pattern { name: name.into(), events: events.collect(), runs: 1 }
}

/// The kinds of patterns that bars are set for.
pub(super) fn fixed() -> Vec<Pattern> {
    let half = PAGES / 2;
    let turns = |first: fn(usize) -> usize, second: fn(usize) -> usize, count: usize| {
        (0..count).flat_map(move |at| [first(at), second(at)])
    };
    let mut all = vec![
        stores("dense", 0..PAGES),
        stores("dense, down", (0..PAGES).rev()),
        stores("dense, 1 MiB", 0..256),
        stores("dense, 64 KiB", 0..16),
        stores("two streams, up", turns(|at| at, |at| PAGES / 2 + at, half)),
        stores("two streams, towards each other", turns(|at| at, |at| PAGES - 1 - at, half)),
        stores("two streams, apart", turns(|at| PAGES / 2 - 1 - at, |at| PAGES / 2 + at, half)),
        stencil(),
        loads(),
        grow_and_touch(1, 3),
        grow_and_touch(1, 16),
        grow_and_touch(16, 256),
        grow_and_touch(1, 0),
    ];
    for stride in [2, 3, 4, 8, 15, 16, 17, 33, 64, 127, 256, 257] {
        let up = (0..PAGES).step_by(stride);
        all.push(stores(format!("stride {stride}, down"), up.clone().rev()));
        all.push(stores(format!("stride {stride}, up"), up));
    }
    for percent in [1, 5, 30, 100] {
        let random = &mut Random::new(percent as u64);
        let pages = shuffled(random, PAGES, PAGES * percent / 100);
        all.push(stores(format!("random, {percent}%"), pages));
    }
    for (run, gap) in [(1, 3), (4, 12), (16, 16), (16, 240), (17, 47), (256, 256), (512, 512)] {
        let pages = (0..PAGES).filter(|page| page % (run + gap) < run);
        all.push(stores(format!("write {run}, skip {gap}"), pages));
    }
    for (stack, heap) in [(4, 64), (256, 4096), (2048, 16384)] {
        all.push(stores(format!("stack of {stack}, heap of {heap}"), ends(stack, heap)));
    }
    all
}

/// A heap from the one end, and a stack from the other.
fn ends(stack: usize, heap: usize) -> impl Iterator<Item = usize> {
    let mut deepest = 0;
    (0..heap).flat_map(move |at| {
        let depth = at * stack / heap;
        let pushed = (depth >= deepest).then_some(PAGES - 1 - depth);
        deepest = deepest.max(depth + 1);
        pushed.into_iter().chain([at])
    })
}

/// Each page is made from those before and behind it, and from those a row away.
fn stencil() -> Pattern {
    let events = (0..PAGES).flat_map(|page| {
        let near = [page.wrapping_sub(16), page + 1, page + 16];
        let loads = near.into_iter().filter(|&page| page < PAGES).map(Event::Load);
        loads.chain([Event::Store(page)])
    });
    let events = [Event::Grow(PAGES)].into_iter().chain(events);
    Pattern { name: "stencil".into(), events: once(events), runs: 1 }
}

/// Nothing is ever stored.
fn loads() -> Pattern {
    let events = [Event::Grow(PAGES)].into_iter().chain((0..PAGES).map(Event::Load));
    Pattern { name: "loads alone".into(), events: events.collect(), runs: 1 }
}

/// Drops touches that are not the first.
fn once(events: impl Iterator<Item = Event>) -> Vec<Event> {
    let mut seen = vec![0; PAGES];
    let is_new = |event: &Event| match event {
        Event::Load(page) => seen[*page] == 0 && std::mem::replace(&mut seen[*page], 1) == 0,
        Event::Store(page) => std::mem::replace(&mut seen[*page], 2) < 2,
        _ => true,
    };
    events.filter(is_new).collect()
}

/// Grows by `granules` again and again, and stores to `stores` pages of what is new.
fn grow_and_touch(granules: usize, stores: usize) -> Pattern {
    let added = granules * GRANULE_PAGES;
    let events = (0..PAGES / added).flat_map(|turn| {
        let page = move |store: usize| Event::Store(turn * added + store * added / stores);
        [Event::Grow(added)].into_iter().chain((0..stores).map(page))
    });
    let name = format!("grow by {} KiB, {stores} stores", granules * 64);
    Pattern { name, events: events.collect(), runs: 1 }
}

fn shuffled(random: &mut Random, below: usize, count: usize) -> Vec<usize> {
    let mut pages: Vec<usize> = (0..below).collect();
    for at in 0..count {
        pages.swap(at, at + random.below(below - at));
    }
    pages.truncate(count);
    pages
}

/// `count` patterns, which depend on the seed alone: up to four runs, each in an order of its own, with growth and discards
/// between them.
pub(super) fn drawn(seed: u64, count: usize) -> Vec<Pattern> {
    let random = &mut Random::new(seed);
    (1..=count).map(|number| draw(random, number)).collect()
}

fn draw(random: &mut Random, number: usize) -> Pattern {
    let mut size = GRANULE_PAGES << random.below(10);
    let mut words = vec![format!("drawn {number}: {} KiB", size * 4)];
    let mut events = vec![Event::Grow(size)];
    let runs = 1 + random.below(4);
    for turn in 0..runs {
        match random.below(4) {
            0 if turn > 0 => {
                let by = GRANULE_PAGES * (1 + random.below(size / GRANULE_PAGES));
                words.push(format!("grow by {} KiB", by * 4));
                events.push(Event::Grow(by));
                size += by;
            }
            1 if turn > 0 => {
                let start = random.below(size);
                let end = start + 1 + random.below(size - start);
                words.push(format!("discard {} KiB", (end - start) * 4));
                events.push(Event::Discard(start..end));
            }
            _ => {}
        }
        let (name, touches) = run(random, size);
        words.push(name);
        events.extend(touches);
    }
    Pattern { name: words.join("; "), events, runs }
}

fn run(random: &mut Random, size: usize) -> (String, Vec<Event>) {
    let from = if random.below(2) == 0 { 0 } else { random.below(size) };
    let power = 1 << random.below(9);
    let stride = [1, power, power + 1, 1 + random.below(300)][random.below(4)];
    let mut pages: Vec<usize> = (from..size).step_by(stride).collect();
    let order = ["up", "down", "at random", "near", "in two streams"][random.below(5)];
    let count = pages.len();
    match order {
        "up" => {}
        "down" => pages.reverse(),
        "near" => pages.chunks_mut(16).for_each(|near| {
            let order = shuffled(random, near.len(), near.len());
            let old = near.to_vec();
            near.iter_mut().zip(order).for_each(|(page, at)| *page = old[at]);
        }),
        "at random" => {
            pages = shuffled(random, count, count).into_iter().map(|at| pages[at]).collect();
        }
        _ => {
            let (one, other) = pages.split_at(count / 2);
            let pair = |at: usize| [one.get(at), other.get(at)].into_iter().flatten().copied();
            pages = (0..other.len()).flat_map(pair).collect();
        }
    }
    let share = [100, 100, 75, 50, 10][random.below(5)];
    pages.retain(|_| random.below(100) < share);
    // What is only loaded from is a fixed pattern.
    let loads = [0, 0, 100, 50][random.below(4)];
    let name = format!("{share}% of every {stride} of {} pages, {order}", size - from);
    let touch = |page| {
        let load = (random.below(100) < loads).then_some(Event::Load(page));
        load.into_iter().chain([Event::Store(page)]).collect::<Vec<_>>()
    };
    let events = pages.into_iter().flat_map(touch).collect();
    (format!("{name}, {loads}% loaded from before"), events)
}
