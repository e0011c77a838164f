//! Locks without poison.
//!
//! What these locks guard stays consistent when a holder panics: the holders that can panic run an
//! embedder's stream or random source, and what such a one left behind is the embedder's business.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, whatever became of its last holder.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
