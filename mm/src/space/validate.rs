//! `validate`: the oracle that every test calls after every step.

use super::Space;
use super::primitive::Ordering;
use super::types::PageRange;

impl Space {
    /// Panics unless the space is at rest and consistent. Call it while no fault and no writer is active.
    pub(crate) fn validate(&self) {
        let held = self.lock.lock();
        let table = self.table.held(&held);
        assert!(self.table.at_rest(), "structure count is odd");
        assert!(self.shards.all().all(|count| !count.in_write_section()), "a pages count is odd");
        let geometry = self.geometry();
        let Some(map) = geometry.map() else {
            assert_eq!(table.len(), 0, "an unused space has VMAs");
            assert_eq!(self.resident(), 0, "an unused space has resident pages");
            return;
        };
        let accessible = self.accessible.load(Ordering::Relaxed);
        let mut end = 0;
        let mut before = None;
        for vma in table.iter() {
            let extent = vma.extent();
            assert!(!vma.bounds.in_write_section(), "a bounds count is odd");
            assert_eq!(vma.owner(), self.address(), "a VMA has another owner");
            assert_eq!(extent.range.start, end, "the VMAs leave a gap or overlap");
            assert!(!extent.range.is_empty(), "a VMA is empty");
            assert_ne!(Some(extent.attrs), before, "two equal VMAs are not merged");
            let inside = extent.range.end <= accessible;
            assert_eq!(
                extent.attrs.protection.is_some(),
                inside,
                "accessible length and VMAs differ"
            );
            let holds =
                map.count_resident(extent.range.intersect(PageRange::new(0, map.capacity())));
            assert!(!extent.attrs.is_open() || holds == 0, "an open page has a state");
            end = extent.range.end;
            before = Some(extent.attrs);
        }
        assert!(end >= self.maximum.load(Ordering::Relaxed), "the VMAs do not cover the space");
        if self.budget().is_some() {
            let open = table.iter().map(|vma| vma.extent()).filter(|extent| extent.attrs.is_open());
            let open: usize = open.map(|extent| extent.range.len()).sum();
            assert_eq!(self.open.load(Ordering::Relaxed), open, "the count of open pages is wrong");
        }
        let all = PageRange::new(0, map.capacity());
        assert!(!map.any_claimed(all), "a page is claimed by nobody");
        assert_eq!(map.count_resident(all), self.resident(), "the resident count is wrong");
        assert!(
            self.resident() <= self.limit.load(Ordering::Relaxed),
            "the resident limit is exceeded"
        );
    }

    /// Whether the system may map pages otherwise than the VMAs and the page states say.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// How many VMAs can be merged away before a writer comes that may ask the pool.
    pub(crate) fn places_for_spares(&self) -> usize {
        let held = self.lock.lock();
        self.spares.held(&held).count(true)
    }

    /// Whether `page` is left to the kernel.
    pub(crate) fn is_open(&self, page: usize) -> bool {
        let held = self.lock.lock();
        self.table.held(&held).at(page).is_some_and(|vma| vma.extent().attrs.is_open())
    }

    /// Which accesses the VMA of `page` allows.
    pub(crate) fn protection(&self, page: usize) -> Option<crate::Protection> {
        let held = self.lock.lock();
        self.table.held(&held).at(page)?.extent().attrs.protection
    }

    /// Whether `page` is counted as resident.
    pub(crate) fn is_resident(&self, page: usize) -> bool {
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return false };
        page < map.capacity() && map.count_resident(PageRange::new(page, page + 1)) == 1
    }
}
