//! `adjust`: changing the VMAs of a range, in three phases.
//!
//! 1. *Prepare*: plan the new extents, take VMAs and table slots. Everything that can fail for lack of memory fails
//!    here, with nothing changed.
//! 2. *Mark*: turn the `bounds` counts of every VMA concerned odd, in address order, including the neighbours'. Then
//!    change the system's mappings accordingly. If that fails, unmark: the layout is as it was.
//! 3. *Commit*: write the payloads and the table (nothing here can fail), then unmark.
//!
//! The counts stay odd during all of phases 2 and 3, system calls included: a fault never sees a layout that the
//! mappings do not match yet.

use super::Space;
use super::plan::Extents;
use super::primitive::{Level, LockGuard};
use super::storage::{Storage, Vmas};
use super::table::Held;
use super::types::{Extent, PageRange};
use crate::error::{Error, Result};

impl Space {
    /// Lets `plan` (see [`plan`](super::plan)) rearrange the extents that `range` touches.
    ///
    /// `make_true` runs inside the write section, when nothing else can fail; if it returns an error, everything is
    /// undone.
    pub(super) fn adjust(
        &self,
        held: &LockGuard<'_>,
        storage: &impl Storage,
        range: PageRange,
        plan: impl FnOnce(&[Extent]) -> Extents,
        make_true: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let table = self.table.held(held);
        let (first, old) = span(&table, range);
        let extents: Extents = old.iter().map(|vma| vma.extent()).collect();
        let new = plan(&extents);
        if new == extents {
            return make_true();
        }
        let added = new.len().saturating_sub(old.len());
        let spares = storage.take(&table, added, old.len().saturating_sub(new.len()));
        let spares = spares.ok_or(Error::TooManyVmas)?;

        old.iter().for_each(|vma| vma.bounds.raw_write_begin());
        if let Err(error) = make_true() {
            old.iter().for_each(|vma| vma.bounds.raw_write_end());
            storage.give(&spares);
            return Err(error);
        }
        spares.iter().for_each(|vma| vma.bounds.raw_write_begin());

        let all: Vmas<'_> = old.iter().chain(&spares).copied().collect();
        let (kept, removed) = all.split_at(new.len());
        for (vma, extent) in kept.iter().zip(&new) {
            vma.set(self.address(), *extent);
        }
        removed.iter().for_each(|vma| vma.clear());
        if kept.len() != old.len() {
            table.splice(first, old.len(), kept);
        }
        all.iter().for_each(|vma| vma.bounds.raw_write_end());
        storage.give(removed);
        if self.policy().opens() {
            storage.level(&self.spares.held(held));
        }
        Ok(())
    }

    /// Moves the boundary between the VMA at `index` and its next neighbour. This is what a grow does, nearly always.
    pub(super) fn move_boundary(&self, held: &LockGuard<'_>, index: usize, to: usize) -> bool {
        let table = self.table.held(held);
        let (Some(vma), Some(next)) = (table.get(index), table.get(index + 1)) else {
            return false;
        };
        let (mut low, mut high) = (vma.extent(), next.extent());
        low.range.end = to;
        high.range.start = to;
        let _lower = vma.bounds.write_begin(Level::Bounds);
        let _upper = next.bounds.write_begin_nested();
        vma.set(self.address(), low);
        next.set(self.address(), high);
        true
    }
}

/// The VMAs that `range` touches and their neighbours, with the table index of the first.
fn span<'a>(table: &Held<'a>, range: PageRange) -> (usize, Vmas<'a>) {
    let first = table.find(range.start).unwrap_or(0).saturating_sub(1);
    let last = table.find(range.end - 1).unwrap_or(0) + 1;
    (first, (first..=last).map_while(|index| table.get(index)).collect())
}
