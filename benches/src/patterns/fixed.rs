//! The fixed list of patterns, most of them in 256 MiB.

use super::Step::{Grow, Load, Store};
use super::{PAGE, Pattern, Step, WASM_PAGE};
use crate::{Kind, shuffled};

/// Bytes of the memory that most patterns have.
const SIZE: u32 = 256 << 20;
/// Pages in it.
const PAGES: u32 = SIZE / PAGE;

/// The fixed list.
pub fn fixed() -> Vec<Pattern> {
    let mut all = vec![dense("dense, 256 MiB", Kind::Dense, PAGES)];
    all.push(dense("dense, 1 MiB", Kind::Touch, 256));
    all.push(dense("dense, 64 KiB", Kind::Touch, 16));
    all.extend(strides());
    all.extend([1, 2, 5, 10, 20, 30, 50, 100].map(random));
    all.extend(streams());
    all.extend([stencil_in_place(), stencil_between_halves()]);
    let runs = [(1, 3), (4, 12), (16, 16), (16, 240), (17, 47), (256, 256), (512, 512)];
    all.extend(runs.map(|(run, gap)| write_then_skip(run, gap)));
    all.extend(
        [(16 << 10, 256 << 10), (1 << 20, 16 << 20), (8 << 20, 64 << 20)]
            .map(|(stack, heap)| stack_and_heap(stack, heap)),
    );
    all.extend(growth());
    all
}

fn touch(name: impl Into<String>, steps: Vec<Step>) -> Pattern {
    Pattern::new(name, Kind::Touch, SIZE, steps)
}

/// A store in page number `page`.
fn store(page: u32) -> Step {
    Store(page * PAGE)
}

fn dense(name: &str, kind: Kind, pages: u32) -> Pattern {
    Pattern::new(name, kind, SIZE, (0..pages).map(store).collect())
}

/// Strides of powers of two pages up to 1 MiB, and of a page less and more, upwards and downwards.
fn strides() -> Vec<Pattern> {
    let near = (0..=8).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
    let mut strides: Vec<u32> = near.filter(|&stride| stride > 0).collect();
    strides.sort_unstable();
    strides.dedup();
    let mut all = Vec::new();
    for stride in strides {
        let up: Vec<Step> = (0..PAGES).step_by(stride as usize).map(store).collect();
        let down = up.iter().rev().copied().collect();
        // Upwards by one page is "dense".
        if stride > 1 {
            all.push(touch(format!("stride {stride}, up"), up));
        }
        all.push(touch(format!("stride {stride}, down"), down));
    }
    all
}

fn random(percent: u32) -> Pattern {
    let mut pages = shuffled(PAGES as usize, u64::from(percent));
    pages.truncate((PAGES * percent / 100) as usize);
    touch(format!("random, {percent}%"), pages.into_iter().map(|page| store(page as u32)).collect())
}

/// Two streams in turns.
fn streams() -> Vec<Pattern> {
    let turns = |first: &dyn Fn(u32) -> u32, second: &dyn Fn(u32) -> u32, count: u32| {
        (0..count).flat_map(|at| [store(first(at)), store(second(at))]).collect()
    };
    let half = PAGES / 2;
    vec![
        touch("two streams, up", turns(&|at| at, &|at| half + at, half)),
        touch("two streams, towards each other", turns(&|at| at, &|at| PAGES - 1 - at, half)),
        touch("two streams, apart", turns(&|at| half - 1 - at, &|at| half + at, half)),
        touch("two streams, every 4th page", turns(&|at| 4 * at, &|at| half + 4 * at, half / 4)),
        touch("two streams, one twice as fast", {
            let third = PAGES / 3;
            (0..third / 2)
                .flat_map(|at| [store(at), store(third + 2 * at), store(third + 2 * at + 1)])
                .collect()
        }),
    ]
}

/// Rows of 64 KiB: each element is made from its neighbours and from those in the rows before and behind.
const ROW: u32 = 16;

fn neighbours(of: u32, within: u32) -> impl Iterator<Item = Step> {
    let all = [of.wrapping_sub(ROW), of.wrapping_sub(1), of + 1, of + ROW];
    all.into_iter().filter(move |&page| page < within).map(|page| Load(page * PAGE))
}

fn stencil_in_place() -> Pattern {
    let steps = (0..PAGES).flat_map(|page| neighbours(page, PAGES).chain([store(page)]));
    touch("stencil, in place", steps.collect())
}

fn stencil_between_halves() -> Pattern {
    let half = PAGES / 2;
    let filled = (0..half).map(store);
    let made = (0..half).flat_map(|page| neighbours(page, half).chain([store(half + page)]));
    touch("stencil, from half to half", filled.chain(made).collect())
}

fn write_then_skip(run: u32, gap: u32) -> Pattern {
    let pages = (0..PAGES).filter(|page| page % (run + gap) < run);
    let word = if run == 1 { "page" } else { "pages" };
    touch(format!("write {run} {word}, skip {gap}"), pages.map(store).collect())
}

/// A heap that grows from the one end, and a stack that goes up and down at the other, ever deeper.
fn stack_and_heap(stack: u32, heap: u32) -> Pattern {
    const FRAME: u32 = 512;
    const ALLOCATION: u32 = 3000;
    let turns = heap / ALLOCATION;
    let mut steps = Vec::new();
    for turn in 0..turns {
        let depth = u64::from(stack - FRAME) * u64::from(turn + 1) / u64::from(turns);
        // It comes back to half of its depth in every other turn.
        let depth = if turn % 2 == 0 { depth as u32 } else { depth as u32 / 2 };
        steps.push(Store(SIZE - FRAME - depth / FRAME * FRAME));
        steps.push(Store(turn * ALLOCATION));
        steps.push(Store((turn + 1) * ALLOCATION - 8));
    }
    let size = |bytes: u32| match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    };
    touch(format!("stack of {}, heap of {}", size(stack), size(heap)), steps)
}

/// Growth by a page of WebAssembly, from one page to 4,000.
fn growth() -> [Pattern; 2] {
    const TIMES: u32 = 4000;
    let with_stores = (1..TIMES).flat_map(|at| {
        let page = at * WASM_PAGE;
        [Grow, Store(page), Store(page + 20_000), Store(page + 40_000)]
    });
    let alone = vec![Grow; TIMES as usize];
    [
        Pattern::new(
            "grow by a page, three stores",
            Kind::GrowAndTouch,
            WASM_PAGE,
            with_stores.collect(),
        ),
        Pattern::new("grow by a page", Kind::Grow, WASM_PAGE, alone),
    ]
}
