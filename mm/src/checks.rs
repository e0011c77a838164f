//! The second looks of a fault that goes without a lock: what was read is held against what is now.
//!
//! Each of them is what makes a step of the protocol right. `space` names `super::checks`, so that the model tests can
//! compile it with a check left out, and must then see the model checker find the bug that this makes.

use super::space::{Abort, Extent, Geometry, PageRange, Seen, SeqCount, Space, Vma};

/// Whether `vma`, found for an access in `space`, is of that space: it may be in use elsewhere by now.
#[inline(always)]
pub(crate) fn is_of(vma: &Vma, space: &Space) -> bool {
    vma.owner() == space.address()
}

/// Whether what was read of `vma` since `bounds` is no mixture, so that an access may be denied for it.
#[inline(always)]
pub(crate) fn is_whole(vma: &Vma, bounds: Seen) -> bool {
    !vma.bounds.retry(bounds)
}

/// Whether `space` is still where it was. Asked under the count of the pages, which covers the answer from then on.
#[inline(always)]
pub(crate) fn is_still_at(space: &Space, geometry: Geometry) -> bool {
    space.geometry() == geometry
}

/// Under the claim on `claimed`: whether all that led to it is still true. The caller has just passed its fence.
///
/// `pages` is the count that covers the pages, `vma` the VMA as it was found.
#[inline(always)]
pub(crate) fn recheck(
    space: &Space,
    pages: (&SeqCount, Seen),
    vma: (&Vma, Seen, Extent),
    claimed: PageRange,
) -> Result<(), Abort> {
    if pages.0.has_moved(pages.1) {
        return Err(Abort::PagesChanged);
    }
    let (vma, bounds, extent) = vma;
    if vma.bounds.has_moved(bounds) {
        return recheck_moved(space, vma, extent, claimed);
    }
    Ok(())
}

/// The bounds moved, the pages did not: go on if what the fault is about to do is still right.
fn recheck_moved(
    space: &Space,
    vma: &Vma,
    before: Extent,
    claimed: PageRange,
) -> Result<(), Abort> {
    let bounds = vma.bounds.try_begin().ok_or(Abort::BoundsOdd)?;
    let now = vma.extent();
    let same = is_of(vma, space)
        && now.attrs == before.attrs
        && now.range.intersect(claimed) == claimed
        && is_whole(vma, bounds);
    if same { Ok(()) } else { Err(Abort::BoundsChanged) }
}
