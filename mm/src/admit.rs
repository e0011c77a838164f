//! Accesses by the host where none may fault ([`PagerKind::Demand`](crate::PagerKind::Demand)): they are looked up in the
//! VMAs first, instead of being stopped by a signal.
//!
//! What was found out must stay true while the bytes are copied. So these accesses share a lock, which whoever takes
//! rights away has for itself. Regions whose accesses fault do without: there the processor looks, at each byte.

use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

use crate::space::{PAGE, PageRange};
use crate::{Access, Fault, Region};

/// As long as it lives, no right is taken away in a region. Nothing is needed for regions whose accesses fault.
pub(crate) type Admitted<'a> = Option<RwLockReadGuard<'a, ()>>;

impl Region {
    /// Makes sure that an access by the host will not fault.
    pub(crate) fn admit(
        &self,
        offset: usize,
        len: usize,
        access: Access,
    ) -> Result<Admitted<'_>, Fault> {
        if self.faults {
            return Ok(None);
        }
        let shared = self.share();
        self.look_up(offset, len, access)?;
        Ok(shared)
    }

    /// As [`admit`](Self::admit), of a copy from one region to another, or within one.
    pub(crate) fn admit_copy<'a>(
        dst: (&'a Self, usize),
        src: (&'a Self, usize),
        len: usize,
    ) -> Result<[Admitted<'a>; 2], Fault> {
        // In one order always, and once if they are the same: who waits for a lock may keep others from sharing it.
        let [first, second] =
            if dst.0.base <= src.0.base { [dst.0, src.0] } else { [src.0, dst.0] };
        let same = first.base == second.base;
        let shared = [first.share(), if same { None } else { second.share() }];
        src.0.look_up(src.1, len, Access::Read)?;
        dst.0.look_up(dst.1, len, Access::Write)?;
        Ok(shared)
    }

    /// Waits for admitted accesses, and keeps new ones out.
    pub(crate) fn exclude_admitted(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let alone = || self.admitting.write().unwrap_or_else(PoisonError::into_inner);
        (!self.faults).then(alone)
    }

    fn share(&self) -> Admitted<'_> {
        let shared = || self.admitting.read().unwrap_or_else(PoisonError::into_inner);
        (!self.faults).then(shared)
    }

    fn look_up(&self, offset: usize, len: usize, access: Access) -> Result<(), Fault> {
        if self.faults || len == 0 {
            return Ok(());
        }
        let pages = PageRange::new(offset / PAGE, (offset + len).div_ceil(PAGE));
        let admitted = self.record.space.admits(pages, access);
        admitted.map_err(|(kind, page)| self.fault(kind, offset.max(page * PAGE)))
    }
}
