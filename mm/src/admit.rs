//! Accesses by the host to regions whose accesses never fault ([`PagerKind::Demand`](crate::PagerKind::Demand)): they
//! are checked against the VMAs first, instead of being stopped by a signal.
//!
//! The answer must stay true while the bytes are copied. So these accesses share a lock, and operations that take
//! rights away hold it exclusively. Regions whose accesses fault need no such lock: the processor checks each byte.

use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

use crate::space::{PAGE, PageRange};
use crate::{Access, Fault, Region};

/// While it lives, no operation takes rights away in a region. `None` for regions whose accesses fault.
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

    /// As [`admit`](Self::admit), for a copy from one region to another, or within one.
    pub(crate) fn admit_copy<'a>(
        dst: (&'a Self, usize),
        src: (&'a Self, usize),
        len: usize,
    ) -> Result<[Admitted<'a>; 2], Fault> {
        // Always in the same order, and only once if both are the same region: a waiting writer may keep new readers
        // out.
        let [first, second] =
            if dst.0.base <= src.0.base { [dst.0, src.0] } else { [src.0, dst.0] };
        let same = first.base == second.base;
        let shared = [first.share(), if same { None } else { second.share() }];
        src.0.look_up(src.1, len, Access::Read)?;
        dst.0.look_up(dst.1, len, Access::Write)?;
        Ok(shared)
    }

    /// Waits for admitted accesses to end, and keeps new ones out.
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
        let admitted = self.record.space.admits(pages, access, &self.reading());
        admitted.map_err(|(kind, page)| self.fault(kind, offset.max(page * PAGE)))
    }
}
