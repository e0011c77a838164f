//! Which pages of the code space are free: first fit, neighbours merged.

use std::collections::BTreeMap;

/// Free runs of pages, by their first page.
#[derive(Debug, Default)]
pub(super) struct FreePages {
    runs: BTreeMap<usize, usize>,
}

impl FreePages {
    /// All of `pages` pages are free.
    pub(super) fn new(pages: usize) -> FreePages {
        FreePages { runs: BTreeMap::from([(0, pages)]) }
    }

    /// Takes `count` pages that follow each other, the lowest there are.
    pub(super) fn take(&mut self, count: usize) -> Option<usize> {
        let (&first, &len) = self.runs.iter().find(|(_, len)| **len >= count)?;
        self.runs.remove(&first);
        if len > count {
            self.runs.insert(first + count, len - count);
        }
        Some(first)
    }

    /// Gives back what [`FreePages::take`] gave out.
    pub(super) fn give(&mut self, mut first: usize, mut count: usize) {
        if let Some((&before, &len)) = self.runs.range(..first).next_back()
            && before + len == first
        {
            self.runs.remove(&before);
            first = before;
            count += len;
        }
        if let Some(len) = self.runs.remove(&(first + count)) {
            count += len;
        }
        self.runs.insert(first, count);
    }
}

#[cfg(test)]
mod tests {
    use super::FreePages;

    #[test]
    fn pages_given_back_merge_with_both_neighbours() {
        let mut free = FreePages::new(10);
        let a = free.take(3).unwrap();
        let b = free.take(3).unwrap();
        let c = free.take(4).unwrap();
        assert_eq!((a, b, c), (0, 3, 6));
        assert_eq!(free.take(1), None);
        free.give(a, 3);
        free.give(c, 4);
        assert_eq!(free.take(5), None);
        free.give(b, 3);
        assert_eq!(free.take(10), Some(0));
    }

    #[test]
    fn the_lowest_run_that_fits_is_taken() {
        let mut free = FreePages::new(10);
        assert_eq!(free.take(2), Some(0));
        assert_eq!(free.take(2), Some(2));
        free.give(0, 2);
        assert_eq!(free.take(3), Some(4));
        assert_eq!(free.take(1), Some(0));
    }
}
