//! Locks without poison.
//!
//! The data behind these locks stays consistent when a holder panics. The holders that can panic
//! run an embedder's stream or random source, whose state is the embedder's responsibility.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, even if its last holder has panicked.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
