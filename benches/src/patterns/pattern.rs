//! [`Pattern`]: which places of its memory a program touches, in which order.

use crate::Kind;
use std::collections::HashSet;
use std::ops::Range;

/// Bytes of a page of the machine.
pub const PAGE: u32 = 4096;
/// Bytes of a page of WebAssembly.
pub const WASM_PAGE: u32 = 1 << 16;

/// What a program does with its memory.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// What the tables call it.
    pub name: String,
    /// What it does in words, where the name does not tell.
    pub about: String,
    /// What its bars depend on.
    pub kind: Kind,
    /// Bytes of memory that it starts with: whole pages of WebAssembly.
    pub size: u32,
    /// What it does, one after the other.
    pub phases: Vec<Phase>,
}

/// A part of a pattern.
#[derive(Clone, Debug)]
pub enum Phase {
    /// The guest does this.
    Run(Vec<Step>),
    /// The host grows the memory by so many pages of WebAssembly.
    Grow(u32),
    /// The host gives the memory behind these offsets back: pages of WebAssembly.
    Discard(Range<u32>),
}

/// One step of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Loads eight bytes at that offset.
    Load(u32),
    /// Stores eight bytes at that offset.
    Store(u32),
    /// `memory.grow` by a page.
    Grow,
}

impl Step {
    /// The step as the guest reads it: the offset, and in its lowest bits what to do there.
    pub(crate) fn code(self) -> u32 {
        match self {
            Step::Load(offset) => offset & !7,
            Step::Store(offset) => offset & !7 | 1,
            Step::Grow => 2,
        }
    }
}

impl Pattern {
    /// A pattern that does `steps`, in a memory of `size` bytes.
    pub fn new(name: impl Into<String>, kind: Kind, size: u32, steps: Vec<Step>) -> Pattern {
        let phases = vec![Phase::Run(steps)];
        Pattern { name: name.into(), about: String::new(), kind, size, phases }
    }

    /// How many pages it has touched in the end and not given back.
    pub fn touched(&self) -> u64 {
        let mut pages = HashSet::new();
        for phase in &self.phases {
            match phase {
                Phase::Run(steps) => pages.extend(steps.iter().filter_map(|step| match step {
                    Step::Load(offset) | Step::Store(offset) => Some(offset / PAGE),
                    Step::Grow => None,
                })),
                Phase::Grow(_) => {}
                Phase::Discard(range) => {
                    pages.retain(|page| !(range.start / PAGE..range.end / PAGE).contains(page))
                }
            }
        }
        pages.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_pages_count_once_and_not_after_a_discard() {
        let steps = vec![Step::Store(0), Step::Load(8), Step::Grow, Step::Store(2 * WASM_PAGE)];
        let mut pattern = Pattern::new("some", Kind::Touch, 3 * WASM_PAGE, steps);
        assert_eq!(pattern.touched(), 2);
        pattern.phases.push(Phase::Discard(0..WASM_PAGE));
        assert_eq!(pattern.touched(), 1);
    }
}
