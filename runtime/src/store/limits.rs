//! Limits on what a store's guests may allocate.

use crate::error::{Error, Result};

/// Decides how far memories and tables may grow.
pub trait ResourceLimiter {
    /// A memory of `current` bytes is about to have `desired`; `maximum` is its type's. For a new
    /// memory `current` is 0.
    ///
    /// `Ok(false)` makes `memory.grow` return -1, and instantiation fail; an error unwinds the
    /// guest.
    ///
    /// The heap that the store's objects lie in asks, too: before the first object, and when it is to
    /// have more room; for a moment, while it collects, twice as much may be resident. What is refused
    /// it asks for once more, as little as it needs; without that, the guest traps with
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

    /// The same for a table, in elements.
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

    /// The guest is about to give back `bytes` of a memory by `memory.discard`. To slow it down,
    /// wait here.
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
}

/// Fixed limits for each memory and table.
#[derive(Clone, Debug, Default)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    error_on_grow_failure: bool,
}

/// Builds [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// No limits.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// The most bytes that a memory may have, and the store's objects together.
    pub fn memory_size(mut self, bytes: usize) -> StoreLimitsBuilder {
        self.0.memory_size = Some(bytes);
        self
    }

    /// The most elements that a table may have.
    pub fn table_elements(mut self, elements: usize) -> StoreLimitsBuilder {
        self.0.table_elements = Some(elements);
        self
    }

    /// Unwinds the guest instead of letting it see -1.
    pub fn error_on_grow_failure(mut self, on: bool) -> StoreLimitsBuilder {
        self.0.error_on_grow_failure = on;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn judge(&self, what: &str, desired: usize, limit: Option<usize>) -> Result<bool> {
        match limit {
            Some(limit) if desired > limit && self.error_on_grow_failure => Err(Error::msg(
                format!("a {what} would grow to {desired}, the store's limit is {limit}"),
            )),
            Some(limit) => Ok(desired <= limit),
            None => Ok(true),
        }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.judge("memory (bytes)", desired, self.memory_size)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.judge("table (elements)", desired, self.table_elements)
    }
}
