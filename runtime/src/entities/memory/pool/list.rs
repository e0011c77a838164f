//! [`List`]: the regions that wait in a shard.
//!
//! A region brings the link that it waits in, made with it. So giving one back takes no memory: what is allocated
//! while many are dropped would keep the allocator from giving back what lies below it.

use super::Shape;
use seqfault_mm::Region;

/// A region with what the pool must know of it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) region: Region,
    /// What it was before it was used.
    pub(super) shape: Shape,
    /// Bytes that it keeps in memory while it waits.
    pub(super) kept: usize,
    next: Option<Box<Link>>,
}

impl Link {
    pub(super) fn new(region: Region, shape: Shape) -> Box<Link> {
        Box::new(Link { region, shape, kept: 0, next: None })
    }

    /// Makes the region what it was before its last user. Whether it is of any use.
    pub(super) fn rewind(&mut self, keep: usize) -> bool {
        if self.shape.contents.is_of_the_past() {
            return false;
        }
        let kept = self.region.rewind(keep);
        self.kept = *kept.as_ref().unwrap_or(&0);
        // What it keeps goes first when the engine's budget has no room.
        kept.is_ok() && self.region.set_idle(true)
    }
}

/// Regions, the one that was added last first.
#[derive(Default)]
pub(super) struct List {
    first: Option<Box<Link>>,
    len: usize,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, mut link: Box<Link>) {
        link.next = self.first.take();
        self.first = Some(link);
        self.len += 1;
    }

    /// Removes the first one that is `wanted`.
    pub(super) fn take_first(&mut self, wanted: impl Fn(&Link) -> bool) -> Option<Box<Link>> {
        let mut at = &mut self.first;
        while at.as_ref().is_some_and(|link| !wanted(link)) {
            at = &mut at.as_mut()?.next;
        }
        let mut found = at.take()?;
        *at = found.next.take();
        self.len -= 1;
        Some(found)
    }

    /// Removes the last one that is `wanted`.
    pub(super) fn take_last(&mut self, wanted: impl Fn(&Link) -> bool) -> Option<Box<Link>> {
        let links = std::iter::successors(self.first.as_deref(), |link| link.next.as_deref());
        let last: *const Link = links.filter(|link| wanted(link)).last()?;
        self.take_first(|link| std::ptr::eq(link, last))
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // One by one: a list drops the rest of itself with its first link, and may be long.
        while self.take_first(|_| true).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::FirstContents;
    use super::*;
    use seqfault_mm::RegionOptions;

    #[test]
    fn links_come_from_either_end() {
        let mut list = List::default();
        for accessible in [1, 2, 1, 3] {
            let shape = Shape { extent: (1 << 20, 0), accessible, contents: FirstContents::Zero };
            list.push(Link::new(RegionOptions::new(1 << 20).build().unwrap(), shape));
        }
        let of = |link: Option<Box<Link>>| link.map(|link| link.shape.accessible);
        assert_eq!(of(list.take_first(|link| link.shape.accessible == 2)), Some(2));
        assert_eq!(of(list.take_first(|link| link.shape.accessible == 2)), None);
        assert_eq!(of(list.take_last(|link| link.shape.accessible != 1)), Some(3));
        assert_eq!(list.len(), 2);
        assert_eq!(of(list.take_last(|_| true)), Some(1));
        assert_eq!(of(list.take_first(|_| true)), Some(1));
        assert_eq!((list.len(), of(list.take_last(|_| true))), (0, None));
    }
}
