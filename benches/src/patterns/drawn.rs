//! Drawn patterns: another ten in each run, so that nothing is tuned to a list.

use super::{PAGE, Pattern, Phase, Step, WASM_PAGE};
use crate::{Kind, Random};

/// Pages of the machine in one of WebAssembly.
const PAGES: u32 = WASM_PAGE / PAGE;
/// The most pages of WebAssembly that a memory has.
const MOST: u32 = 4096;

/// `count` patterns, which depend on `random` only.
pub fn drawn(random: &mut Random, count: usize) -> Vec<Pattern> {
    (1..=count).map(|number| draw(random, number)).collect()
}

/// Memories of all sizes, one to four runs, and growth or discards between them.
fn draw(random: &mut Random, number: usize) -> Pattern {
    let scale = 1 << random.below(12);
    let start = scale + random.below(scale + 1);
    let mut size = start;
    let mut phases = Vec::new();
    let mut words = vec![format!("{} KiB", start * 64)];
    for turn in 0..=random.below(4) {
        if turn > 0 {
            match random.below(3) {
                0 => {
                    let by = random.below(MOST - size + 1).min(scale);
                    size += by;
                    words.push(format!("grow by {} KiB", by * 64));
                    phases.push(Phase::Grow(by));
                }
                1 => {
                    let from = random.below(size);
                    let to = from + 1 + random.below(size - from);
                    words.push(format!("discard {} KiB", (to - from) * 64));
                    phases.push(Phase::Discard(from * WASM_PAGE..to * WASM_PAGE));
                }
                _ => {}
            }
        }
        let (name, steps) = run(random, size * PAGES);
        words.push(name);
        phases.push(Phase::Run(steps));
    }
    Pattern {
        name: format!("drawn {number}"),
        about: words.join("; "),
        kind: Kind::Touch,
        size: start * WASM_PAGE,
        phases,
    }
}

/// A run over a part of `pages` pages: with a stride, in an order, a share of the places, by loads or stores.
fn run(random: &mut Random, pages: u32) -> (String, Vec<Step>) {
    let from = if random.below(2) == 0 { 0 } else { random.below(pages) };
    let power = 1 << random.below(9);
    let stride = match random.below(4) {
        0 => 1,
        1 => power,
        2 => power + random.of(&[1, 2]),
        _ => 1 + random.below(300),
    };
    let mut places: Vec<u32> = (from..pages).step_by(stride as usize).collect();
    let order = reorder(random, &mut places);
    let share = random.of(&[100, 100, 75, 50, 10]);
    places.retain(|_| random.below(100) < share);
    let access = random.of(&["stores", "stores", "loads", "loads and stores", "loads or stores"]);
    let mut steps = Vec::new();
    for page in places {
        let offset = page * PAGE + random.below(PAGE / 8) * 8;
        let load = match access {
            "stores" => false,
            "loads" => true,
            "loads or stores" => random.below(2) == 0,
            _ => {
                steps.push(Step::Load(offset));
                false
            }
        };
        steps.push(if load { Step::Load(offset) } else { Step::Store(offset) });
    }
    let name = format!("{share}% of every {stride} of {} pages, {order}, {access}", pages - from);
    (name, steps)
}

/// Puts places in order into one in which a program may come to them.
fn reorder(random: &mut Random, places: &mut Vec<u32>) -> &'static str {
    let orders = ["up", "down", "random", "pieces in random order", "near", "two streams"];
    let order = random.of(&orders);
    match order {
        "up" => {}
        "down" => places.reverse(),
        "random" => random.shuffle(places),
        "pieces in random order" => {
            let piece = 64;
            let mut starts: Vec<u32> = (0..places.len().div_ceil(piece) as u32).collect();
            random.shuffle(&mut starts);
            let pieces = starts.iter().flat_map(|&start| {
                let start = start as usize * piece;
                &places[start..places.len().min(start + piece)]
            });
            *places = pieces.copied().collect();
        }
        // Forwards as a whole, and in disorder nearby.
        "near" => places.chunks_mut(16).for_each(|near| random.shuffle(near)),
        _ => {
            let (first, second) = places.split_at(places.len() / 2);
            // The second may be longer by one.
            let turns = (0..second.len())
                .flat_map(|at| [first.get(at), second.get(at)].into_iter().flatten().copied());
            *places = turns.collect();
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::play::SCRIPT;
    use super::*;

    #[test]
    fn drawn_patterns_are_inside_of_their_memory_and_come_again_with_the_seed() {
        let draw = |seed| drawn(&mut Random::new(seed), 200);
        let abouts = |seed| draw(seed).into_iter().map(|pattern| pattern.about).collect::<Vec<_>>();
        assert_eq!(abouts(1), abouts(1));
        assert_ne!(abouts(1), abouts(2));
        for pattern in draw(3) {
            let mut size = pattern.size;
            let mut steps_in_all = 0;
            for phase in &pattern.phases {
                match phase {
                    Phase::Grow(by) => size += by * WASM_PAGE,
                    Phase::Discard(range) => assert!(range.start < range.end && range.end <= size),
                    Phase::Run(steps) => {
                        steps_in_all += steps.len();
                        let inside = |step: &Step| match *step {
                            Step::Load(offset) | Step::Store(offset) => offset + 8 <= size,
                            Step::Grow => false,
                        };
                        assert!(steps.iter().all(inside), "{}", pattern.about);
                    }
                }
            }
            assert!(size <= MOST * WASM_PAGE && steps_in_all * 4 <= SCRIPT, "{}", pattern.about);
        }
    }
}
