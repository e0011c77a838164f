//! Limits on what a store's guests may allocate.

use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The error of a memory or table that could not be made because the store's [`ResourceLimiter`] refused its initial size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedByLimiter {
    /// A memory.
    Memory {
        /// Its initial size in bytes.
        bytes: usize,
    },
    /// A table.
    Table {
        /// Its initial size in elements.
        elements: usize,
    },
}

impl fmt::Display for RefusedByLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store's limiter refuses a ")?;
        match self {
            RefusedByLimiter::Memory { bytes } => write!(f, "memory of {bytes} bytes"),
            RefusedByLimiter::Table { elements } => write!(f, "table of {elements} elements"),
        }
    }
}

impl std::error::Error for RefusedByLimiter {}

/// Decides how many memories, tables and instances a store may have, and how far they may grow.
pub trait ResourceLimiter {
    /// A memory of `current` bytes is about to have `desired`; `maximum` is that of its type. For a
    /// new memory `current` is 0.
    ///
    /// `Ok(false)` makes `memory.grow` return -1, and instantiation fail; an error unwinds the
    /// guest.
    ///
    /// The heap for the store's objects asks, too: before the first object, and when it needs more
    /// room. During a collection twice as much may be resident. After a refusal the heap asks once
    /// more, for the least that it needs; if that is refused as well, the guest traps with
    /// [`TrapCode::GcHeapOutOfMemory`](crate::TrapCode::GcHeapOutOfMemory).
    ///
    /// # Errors
    ///
    /// Whatever the embedder likes.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool>;

    /// The same for a shared memory, which may outlive this store.
    ///
    /// # Errors
    ///
    /// Whatever the embedder likes.
    fn shared_memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.memory_growing(current, desired, maximum)
    }

    /// A memory that was allowed to grow has not grown: the system has refused; or another thread
    /// was faster, and the limiter is asked again.
    fn memory_grow_failed(&mut self, current: usize, desired: usize) {
        let _ = (current, desired);
    }

    /// The same for a shared memory.
    fn shared_memory_grow_failed(&mut self, current: usize, desired: usize) {
        self.memory_grow_failed(current, desired);
    }

    /// A table of `current` elements is about to have `desired`, as for a memory.
    ///
    /// # Errors
    ///
    /// Whatever the embedder likes.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool>;

    /// A table that was allowed to grow has not grown, because the system has no memory.
    fn table_grow_failed(&mut self, current: usize, desired: usize) {
        let _ = (current, desired);
    }

    /// The guest is about to give back `bytes` of a memory by `memory.discard`. The limiter may
    /// wait here to slow the guest down.
    ///
    /// `Ok(false)` makes the guest trap with
    /// [`TrapCode::DiscardRefused`](crate::TrapCode::DiscardRefused); an error unwinds it.
    ///
    /// # Errors
    ///
    /// Whatever the embedder likes.
    fn memory_discarding(&mut self, bytes: usize) -> Result<bool> {
        let _ = bytes;
        Ok(true)
    }

    /// The most instances that the store may have, including those whose instantiation has failed
    /// half way.
    fn instances(&self) -> usize {
        usize::MAX
    }

    /// The most tables that the store may have.
    fn tables(&self) -> usize {
        usize::MAX
    }

    /// The most memories that the store may have. Shared ones count but are never refused, because
    /// the host has provided them.
    fn memories(&self) -> usize {
        usize::MAX
    }
}

/// Fixed limits, for single memories and tables and for their sums.
///
/// Clones share the sums. Give each store of a program with threads a clone of the same limits;
/// together they may then have as much as a single store. What a store has counts until its clone
/// is dropped. Growth of a shared memory by a guest counts for ever, because the memory outlives
/// the store.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: usize,
    table_elements: usize,
    total_memory_size: usize,
    total_table_elements: usize,
    instances: usize,
    tables: usize,
    memories: usize,
    trap_on_grow_failure: bool,
    bytes: Share,
    elements: Share,
}

impl Default for StoreLimits {
    /// No limits.
    fn default() -> StoreLimits {
        StoreLimits {
            memory_size: usize::MAX,
            table_elements: usize::MAX,
            total_memory_size: usize::MAX,
            total_table_elements: usize::MAX,
            instances: usize::MAX,
            tables: usize::MAX,
            memories: usize::MAX,
            trap_on_grow_failure: false,
            bytes: Share::default(),
            elements: Share::default(),
        }
    }
}

/// Builds [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// No limits.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// The most bytes that each memory may have, and that the store's objects may have together.
    pub fn memory_size(mut self, bytes: usize) -> StoreLimitsBuilder {
        self.0.memory_size = bytes;
        self
    }

    /// The most bytes that all memories and the store's objects may have together.
    pub fn total_memory_size(mut self, bytes: usize) -> StoreLimitsBuilder {
        self.0.total_memory_size = bytes;
        self
    }

    /// The most elements that each table may have.
    pub fn table_elements(mut self, elements: usize) -> StoreLimitsBuilder {
        self.0.table_elements = elements;
        self
    }

    /// The most elements that all tables may have together. Each takes 8 bytes.
    pub fn total_table_elements(mut self, elements: usize) -> StoreLimitsBuilder {
        self.0.total_table_elements = elements;
        self
    }

    /// The most instances that a store may have.
    pub fn instances(mut self, count: usize) -> StoreLimitsBuilder {
        self.0.instances = count;
        self
    }

    /// The most tables that a store may have.
    pub fn tables(mut self, count: usize) -> StoreLimitsBuilder {
        self.0.tables = count;
        self
    }

    /// The most memories that a store may have.
    pub fn memories(mut self, count: usize) -> StoreLimitsBuilder {
        self.0.memories = count;
        self
    }

    /// Unwinds the guest instead of letting it see -1.
    pub fn trap_on_grow_failure(mut self, on: bool) -> StoreLimitsBuilder {
        self.0.trap_on_grow_failure = on;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn memory(&mut self, current: usize, desired: usize, ends_with_store: bool) -> Result<bool> {
        let allowed = desired <= self.memory_size
            && self.bytes.take(
                desired.saturating_sub(current),
                self.total_memory_size,
                ends_with_store,
            );
        self.judge(allowed, || {
            let (each, total) = (self.memory_size, self.total_memory_size);
            format!("a memory would grow to {desired} bytes, limits are {each} and {total} in all")
        })
    }

    fn judge(&self, allowed: bool, refusal: impl FnOnce() -> String) -> Result<bool> {
        match allowed || !self.trap_on_grow_failure {
            true => Ok(allowed),
            false => Err(Error::msg(refusal())),
        }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.memory(current, desired, true)
    }

    fn shared_memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> Result<bool> {
        self.memory(current, desired, false)
    }

    fn memory_grow_failed(&mut self, current: usize, desired: usize) {
        self.bytes.give_back(desired.saturating_sub(current), true);
    }

    fn shared_memory_grow_failed(&mut self, current: usize, desired: usize) {
        self.bytes.give_back(desired.saturating_sub(current), false);
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let allowed = desired <= self.table_elements
            && self.elements.take(desired.saturating_sub(current), self.total_table_elements, true);
        self.judge(allowed, || {
            let (each, total) = (self.table_elements, self.total_table_elements);
            format!(
                "a table would grow to {desired} elements, limits are {each} and {total} in all"
            )
        })
    }

    fn table_grow_failed(&mut self, current: usize, desired: usize) {
        self.elements.give_back(desired.saturating_sub(current), true);
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

/// A part of a sum that clones share.
#[derive(Debug, Default)]
struct Share {
    total: Arc<AtomicUsize>,
    /// The part that ends with this clone.
    mine: usize,
}

impl Share {
    /// Adds `more` to the sum, unless that would exceed `most`.
    fn take(&mut self, more: usize, most: usize, is_mine: bool) -> bool {
        let added = |total: usize| total.checked_add(more).filter(|&total| total <= most);
        // Relaxed: only the sum itself matters.
        let done = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).is_ok();
        self.mine += if done && is_mine { more } else { 0 };
        done
    }

    fn give_back(&mut self, less: usize, is_mine: bool) {
        // Relaxed: as in `take`.
        self.total.fetch_sub(less, Ordering::Relaxed);
        self.mine -= if is_mine { less } else { 0 };
    }
}

impl Clone for Share {
    /// A part of the same sum, with nothing in it.
    fn clone(&self) -> Share {
        Share { total: Arc::clone(&self.total), mine: 0 }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.mine, true);
    }
}
