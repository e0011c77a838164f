//! [`place`]: which active segments are certain to be applied, and where.
//!
//! Segments are applied in order until one does not fit. So those are *certain* that come before the
//! first that may not fit, or whose place or contents depend on an import.

use super::constants::Constants;
use seqfault_jit::module::ConstExpr;

/// An active segment.
pub(super) struct Active<'a> {
    /// The number of its memory or table among those that the module defines; `None` if it is
    /// imported.
    pub(super) defined: Option<u32>,
    /// Where it begins.
    pub(super) offset: &'a ConstExpr,
    /// Its bytes or elements.
    pub(super) len: usize,
    /// How many its memory or table has at first.
    pub(super) room: u128,
}

/// An active segment whose place is known, and which fits there.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) segment: u32,
    /// As in [`Active::defined`].
    pub(super) defined: u32,
    pub(super) start: usize,
}

/// How many of the segments are certain, and the places of the active ones among them. `active`
/// returns `None` for segments that nothing is done with.
pub(super) fn place<'a, S>(
    segments: &'a [S],
    constants: &Constants,
    active: impl Fn(&'a S) -> Option<Active<'a>>,
) -> (usize, Vec<Placed>) {
    let mut placed = Vec::new();
    for (segment, one) in segments.iter().enumerate() {
        let Some(active) = active(one) else { continue };
        match find(&active, constants) {
            Some((defined, start)) => {
                placed.push(Placed { segment: segment as u32, defined, start });
            }
            None => return (segment, placed),
        }
    }
    (segments.len(), placed)
}

fn find(active: &Active<'_>, constants: &Constants) -> Option<(u32, usize)> {
    let defined = active.defined?;
    let start = usize::try_from(constants.value(active.offset)?).ok()?;
    (start as u128 + active.len as u128 <= active.room).then_some((defined, start))
}
