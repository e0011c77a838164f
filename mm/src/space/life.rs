//! A space's lives: `create` puts an unused space to use, `destroy` ends that use.

use std::ptr::{self, NonNull};

use super::primitive::{LockGuard, Ordering};
use super::storage::{Storage, Vmas};
use super::types::{Attrs, Extent, PAGE, PageRange};
use super::{Budget, Policy, Pool, Space};
use crate::sys::SysError;

/// What a space is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blueprint {
    /// First byte of the reservation.
    pub(crate) base: usize,
    /// Pages that may become accessible.
    pub(crate) maximum: usize,
    /// Pages of the whole reservation, guard included.
    pub(crate) total: usize,
    /// Most pages that may be resident.
    pub(crate) limit: usize,
    /// The budget that it shares, which outlives its use.
    pub(crate) budget: Option<NonNull<Budget>>,
    /// How many `pages` counts to use.
    pub(crate) shards: usize,
    /// How faults are answered.
    pub(crate) policy: Policy,
    /// Whether faults speculate.
    pub(crate) speculation: bool,
}

impl Space {
    /// Puts an unused space to use: nothing accessible, everything reserved.
    ///
    /// # Errors
    /// When the system has no memory for its storage; the space is unused then.
    pub(crate) fn create(
        &self,
        blueprint: &Blueprint,
        pool: &Pool,
    ) -> std::result::Result<(), SysError> {
        let held = self.lock.lock();
        let vmas = pool.take_vmas(1)?;
        let map = pool
            .take_map(blueprint.maximum)
            .inspect_err(|_| pool.give_vmas(vmas.iter().copied()))?;
        if blueprint.policy.opens() {
            pool.level(&self.spares.held(&held));
        }
        self.shards.all().for_each(|count| count.raw_write_begin());
        self.base.store(blueprint.base, Ordering::Relaxed);
        self.maximum.store(blueprint.maximum, Ordering::Relaxed);
        self.shards.set_count(blueprint.shards);
        self.forget_history(&held);
        // Release pairs with the Acquire in `geometry`.
        self.pages.store(map.as_ptr(), Ordering::Release);
        self.accessible.store(0, Ordering::Relaxed);
        self.limit.store(blueprint.limit, Ordering::Relaxed);
        let budget = blueprint.budget.map_or(ptr::null_mut(), NonNull::as_ptr);
        self.budget.store(budget, Ordering::Relaxed);
        self.open.store(0, Ordering::Relaxed);
        self.idle.store(false, Ordering::Relaxed);
        self.policy.store(blueprint.policy.to_bits(), Ordering::Relaxed);
        self.asked.set(PageRange::default());
        self.speculation.store(blueprint.speculation, Ordering::Relaxed);
        self.doubtful.store(false, Ordering::Relaxed);
        let whole = Extent { range: PageRange::new(0, blueprint.total), attrs: Attrs::RESERVED };
        for vma in &vmas {
            vma.bounds.raw_write_begin();
            vma.set(self.address(), whole);
            vma.bounds.raw_write_end();
        }
        self.table.held(&held).splice(0, 0, &vmas);
        self.shards.all().for_each(|count| count.raw_write_end());
        Ok(())
    }

    /// Forgets how the space was used: nothing of it is open.
    pub(super) fn forget_history(&self, _held: &LockGuard<'_>) {
        self.lanes.iter().for_each(|lane| lane.pattern.reset());
        self.openings.store(0, Ordering::Relaxed);
        self.opened_within.store(0, Ordering::Relaxed);
        self.growths.store(0, Ordering::Relaxed);
    }

    /// Ends the space's use. `release` gives the address range back, inside the write sections: no claim on it is left
    /// then, and no later claim will pass its re-check.
    pub(crate) fn destroy(&self, pool: &Pool, release: impl FnOnce(usize, usize)) {
        let held = self.lock.lock();
        let table = self.table.held(&held);
        let geometry = self.geometry();
        let Some(map) = geometry.map() else { return };
        let vmas: Vmas<'_> = table.iter().collect();
        let total = vmas.last().map_or(0, |vma| vma.extent().range.end);
        let maximum = self.maximum.load(Ordering::Relaxed);
        let all = PageRange::new(0, maximum);

        vmas.iter().for_each(|vma| vma.bounds.raw_write_begin());
        self.shards.all().for_each(|count| count.raw_write_begin());
        Self::settle(map, all);
        release(geometry.base, total * PAGE);
        self.uncharge(map.set_absent(all));
        self.base.store(0, Ordering::Relaxed);
        self.accessible.store(0, Ordering::Release);
        self.pages.store(std::ptr::null_mut(), Ordering::Release);
        vmas.iter().for_each(|vma| vma.clear());
        table.clear(pool);
        self.settle_open(&held);
        self.budget.store(ptr::null_mut(), Ordering::Relaxed);
        self.shards.all().for_each(|count| count.raw_write_end());
        vmas.iter().for_each(|vma| vma.bounds.raw_write_end());

        pool.give_map(NonNull::from(map), maximum);
        pool.give_vmas(vmas);
        self.spares.held(&held).empty(pool);
    }
}
