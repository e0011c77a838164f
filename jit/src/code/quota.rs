//! [`CodeQuota`]: a limit on memory for code.

use crate::error::CompileError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit on bytes of memory for code, with a count of the bytes in use. May be part of another
/// quota.
#[derive(Debug)]
pub struct CodeQuota {
    /// The name of the limit, for errors.
    name: &'static str,
    limit: usize,
    used: AtomicUsize,
    within: Option<Arc<CodeQuota>>,
}

impl CodeQuota {
    /// A limit of `limit` bytes, or none. What counts here also counts in `within`. `name` tells
    /// users which limit to raise.
    pub fn new(
        name: &'static str,
        limit: Option<usize>,
        within: Option<Arc<CodeQuota>>,
    ) -> Arc<CodeQuota> {
        let limit = limit.unwrap_or(usize::MAX);
        Arc::new(CodeQuota { name, limit, used: AtomicUsize::new(0), within })
    }

    /// Bytes that are in use: whole pages.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more until the charge is dropped.
    pub(super) fn charge(self: &Arc<CodeQuota>, bytes: usize) -> Result<Charge, CompileError> {
        // Relaxed: the numbers guard nothing.
        let add = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        let added = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        // From here on, dropping the charge undoes the addition.
        let mut charge = match added {
            Ok(_) => Charge { quota: self.clone(), bytes, within: None },
            Err(used) => return Err(self.exceeded(bytes, used)),
        };
        if let Some(within) = &self.within {
            charge.within = Some(Box::new(within.charge(bytes)?));
        }
        Ok(charge)
    }

    fn exceeded(&self, bytes: usize, used: usize) -> CompileError {
        let message = format!(
            "{used} bytes are in use of the {} that `{}` allows; raise it, or drop modules",
            self.limit, self.name
        );
        CompileError::CodeSpace { bytes, message }
    }
}

/// Bytes that count until the charge is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    quota: Arc<CodeQuota>,
    bytes: usize,
    /// The same charge in the enclosing quota.
    within: Option<Box<Charge>>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_refusals_count_nowhere() {
        let engine = CodeQuota::new("engine", Some(100), None);
        let a = CodeQuota::new("a", Some(80), Some(engine.clone()));
        let b = CodeQuota::new("b", None, Some(engine.clone()));
        let first = a.charge(60).unwrap();
        let error = a.charge(30).unwrap_err().to_string();
        assert!(error.contains("60 bytes are in use of the 80 that `a`"), "{error}");
        let error = b.charge(50).unwrap_err().to_string();
        assert!(error.contains("60 bytes are in use of the 100 that `engine`"), "{error}");
        assert_eq!((engine.used(), a.used(), b.used()), (60, 60, 0));
        drop(first);
        let _all = b.charge(100).unwrap();
        assert!(b.charge(usize::MAX).is_err());
        assert_eq!((engine.used(), a.used(), b.used()), (100, 0, 100));
    }
}
