//! [`BranchHints`]: which way branches usually go, according to the module's author.
//!
//! Source: specification, appendix "Custom Sections", "Branch Hints". A hint changes the placement
//! of code, never what it does. Hints for instructions that are no branches are ignored, and so is
//! the rest of a section behind an error in it.

use wasmparser::BranchHintSectionReader;

/// The branches of a module that usually go one way.
#[derive(Clone, Debug, Default)]
pub struct BranchHints(Vec<Hint>);

#[derive(Clone, Copy, Debug)]
struct Hint {
    func: u32,
    /// Bytes from the start of the function's body.
    offset: u32,
    taken: bool,
}

impl BranchHints {
    pub(super) fn read(section: BranchHintSectionReader<'_>) -> BranchHints {
        let mut hints = Vec::new();
        for function in section.into_iter().map_while(Result::ok) {
            for hint in function.hints.into_iter().map_while(Result::ok) {
                let (offset, taken) = (hint.func_offset, hint.taken);
                hints.push(Hint { func: function.func, offset, taken });
            }
        }
        hints.sort_by_key(|hint| (hint.func, hint.offset));
        BranchHints(hints)
    }

    /// Whether the branch at `offset` in the body of `func` is usually taken, if there is a hint
    /// for it.
    pub fn get(&self, func: u32, offset: u32) -> Option<bool> {
        let found = self.0.binary_search_by_key(&(func, offset), |hint| (hint.func, hint.offset));
        found.ok().map(|at| self.0[at].taken)
    }
}
