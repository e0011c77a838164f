//! The second looks of a lock-free fault: they compare what the fault has read with the present state.
//!
//! Each of them makes a step of the protocol right. The files in `space` refer to them as `super::checks`, so that the
//! model tests can compile `space` with one check left out; the model checker must then find the resulting bug.

use super::space::{Abort, Extent, Geometry, PageRange, Seen, SeqCount, Space, Vma};

/// Whether `vma`, found for an access in `space`, belongs to that space. By now another space may use it.
#[inline(always)]
pub(crate) fn is_of(vma: &Vma, space: &Space) -> bool {
    vma.owner() == space.address()
}

/// Whether what was read of `vma` since `bounds` is consistent, so that an access may be denied on account of it.
#[inline(always)]
pub(crate) fn is_whole(vma: &Vma, bounds: Seen) -> bool {
    !vma.bounds.retry(bounds)
}

/// Whether `space` is still where it was. Asked under the `pages` count, which covers the answer from then on.
#[inline(always)]
pub(crate) fn is_still_at(space: &Space, geometry: Geometry) -> bool {
    space.geometry() == geometry
}

/// Whether everything that led to the claim on `claimed` is still true. The caller has just passed its fence.
///
/// `pages` is the count that covers the pages; `vma` is the VMA as it was found.
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

/// The bounds have moved but the pages have not: the fault may continue if what it is about to do is still right.
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
