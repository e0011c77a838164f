//! The layout arithmetic, pure: the new extents of a span when a range in it changes its attributes.
//!
//! All of the kernel's `vma_adjust` cases are this one function: growing into the next extent, shrinking, splitting in
//! two or three, merging with one neighbour or both (remove next, and "next becomes next's next").

use smallvec::SmallVec;

use super::types::{Attrs, Extent, PageRange};

/// Extents in address order. A change inside of one VMA, neighbours included, makes five of them: no allocation.
pub(super) type Extents = SmallVec<[Extent; 5]>;

/// `old` (sorted, without gaps) with `change` applied inside `range`, equal neighbours merged.
pub(super) fn change(old: &[Extent], range: PageRange, change: impl Fn(Attrs) -> Attrs) -> Extents {
    let mut new = Extents::new();
    let range = PageRange::new(range.start, range.end.max(range.start));
    for extent in old {
        let before = PageRange::new(extent.range.start, extent.range.end.min(range.start));
        let after = PageRange::new(extent.range.start.max(range.end), extent.range.end);
        push(&mut new, before, extent.attrs);
        push(&mut new, extent.range.intersect(range), change(extent.attrs));
        push(&mut new, after, extent.attrs);
    }
    new
}

fn push(list: &mut Extents, range: PageRange, attrs: Attrs) {
    if range.is_empty() {
        return;
    }
    match list.last_mut() {
        Some(last) if last.attrs == attrs && last.range.end == range.start => {
            last.range.end = range.end
        }
        _ => list.push(Extent { range, attrs }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protection;

    const A: Attrs = Attrs::FRESH;
    const R: Attrs = Attrs { protection: Some(Protection::ReadOnly), ..Attrs::FRESH };
    const T: Attrs = Attrs::RESERVED;

    /// Builds extents from a drawing: one letter a page.
    fn draw(picture: &str) -> Extents {
        let mut list = Extents::new();
        for (page, letter) in picture.chars().enumerate() {
            let attrs = match letter {
                'A' => A,
                'R' => R,
                _ => T,
            };
            push(&mut list, PageRange::new(page, page + 1), attrs);
        }
        list
    }

    fn check(before: &str, at: std::ops::Range<usize>, to: Attrs, after: &str) {
        let new = change(&draw(before), PageRange::new(at.start, at.end), |_| to);
        assert_eq!(new, draw(after), "{before} -> {after}");
    }

    #[test]
    fn grow_moves_the_boundary_with_the_tail() {
        check("AATTTT", 2..4, A, "AAAATT");
    }

    #[test]
    fn shrink_moves_it_back() {
        check("AAAATT", 2..4, T, "AATTTT");
    }

    #[test]
    fn a_change_in_the_middle_splits_in_three() {
        check("AAAAAA", 2..4, R, "AARRAA");
    }

    #[test]
    fn a_change_at_an_end_splits_in_two() {
        check("AAAAAA", 0..2, R, "RRAAAA");
        check("AAAAAA", 4..6, R, "AAAARR");
    }

    #[test]
    fn an_empty_change_changes_nothing() {
        check("AARRTT", 3..3, T, "AARRTT");
        assert_eq!(change(&draw("AARRTT"), PageRange::new(5, 1), |_| R), draw("AARRTT"));
    }

    #[test]
    fn a_change_back_merges_with_both_neighbours() {
        check("AARRAA", 2..4, A, "AAAAAA");
    }

    #[test]
    fn a_change_over_many_removes_them() {
        check("ARARAT", 0..5, R, "RRRRRT");
    }

    #[test]
    fn a_change_across_a_border_moves_it() {
        check("AAARRR", 2..4, R, "AARRRR");
        check("AAARRR", 1..5, T, "ATTTTR");
    }
}
