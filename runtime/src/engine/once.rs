//! [`CompileOnce`]: code that is compiled by the first thread that needs it.

use crate::error::Result;
use seqfault_jit::CompileError;
use seqfault_jit::code::PublishedUnit;
use seqfault_jit::process::Lock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Code that is compiled when it is first needed. Other threads that need it meanwhile wait for
/// this code only. A failure is not remembered, because its reason (no room for code) may pass.
///
/// In a child of `fork`, code that a thread of the parent was compiling is compiled again.
#[derive(Debug, Default)]
pub(crate) struct CompileOnce {
    /// Null, or from a box; set only once.
    unit: AtomicPtr<PublishedUnit>,
    compiling: Lock<()>,
}

impl CompileOnce {
    /// The address of the code; `compile` makes and publishes it, unless that has been done.
    pub(crate) fn get(
        &self,
        compile: impl FnOnce() -> Result<PublishedUnit, CompileError>,
    ) -> Result<*const u8, CompileError> {
        if let Some(unit) = self.unit() {
            return Ok(unit.start());
        }
        // A panic in the compiler leaves nothing half done.
        let _compiling = self.compiling.lock();
        if let Some(unit) = self.unit() {
            return Ok(unit.start());
        }
        let unit = compile()?;
        let start = unit.start();
        // Release: pairs with the Acquire in `unit`. The pointer is null, because the lock is held.
        self.unit.store(Box::into_raw(Box::new(unit)), Ordering::Release);
        Ok(start)
    }

    fn unit(&self) -> Option<&PublishedUnit> {
        // SAFETY: null, or from a box that is freed only when this is dropped.
        unsafe { self.unit.load(Ordering::Acquire).as_ref() }
    }
}

impl Drop for CompileOnce {
    fn drop(&mut self) {
        let unit = *self.unit.get_mut();
        if !unit.is_null() {
            // SAFETY: `get` stored it, and nothing uses it any more.
            drop(unsafe { Box::from_raw(unit) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqfault_jit::code::{CodeArena, CodeQuota};

    #[test]
    fn a_failure_is_tried_again() {
        let once = CompileOnce::default();
        let full = || Err(CompileError::CodeSpace { bytes: 1, message: "full".into() });
        assert!(once.get(full).is_err());
        let compile = || {
            let mut unit = seqfault_jit::code::UnitBuilder::new();
            let ty = seqfault_jit::types::FuncType::new([], []);
            let compiler = seqfault_jit::Compiler::new(Default::default())?;
            unit.push(compiler.compile_entry(&mut Default::default(), &ty)?);
            unit.publish(&CodeArena::new(CodeQuota::new("test", None, None)), 0)
        };
        let code = once.get(compile).unwrap();
        assert_eq!(once.get(full).unwrap(), code);
    }
}
