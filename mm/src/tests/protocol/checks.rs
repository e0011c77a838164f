//! `crate::checks`, with mutants: one of the checks always says yes.

use super::primitive::{Mutant, Step, is};
use super::space::{Abort, Extent, Geometry, PageRange, Seen, SeqCount, Space, Vma};
use super::whole_checks as whole;

pub(crate) fn is_of(vma: &Vma, space: &Space) -> bool {
    is(Mutant::Skips(Step::CheckOwner)) || whole::is_of(vma, space)
}

pub(crate) fn is_whole(vma: &Vma, bounds: Seen) -> bool {
    is(Mutant::Skips(Step::ValidateDenial)) || whole::is_whole(vma, bounds)
}

pub(crate) fn is_still_at(space: &Space, geometry: Geometry) -> bool {
    is(Mutant::Skips(Step::CheckGeometry)) || whole::is_still_at(space, geometry)
}

pub(crate) fn recheck(
    space: &Space,
    pages: (&SeqCount, Seen),
    vma: (&Vma, Seen, Extent),
    claimed: PageRange,
) -> Result<(), Abort> {
    if is(Mutant::Skips(Step::Recheck)) {
        return Ok(());
    }
    whole::recheck(space, pages, vma, claimed)
}
