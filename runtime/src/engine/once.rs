//! [`CompileOnce`]: code that the first who needs it compiles.

use crate::error::Result;
use seqfault_jit::CompileError;
use seqfault_jit::code::PublishedUnit;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Code that is compiled when first needed. Others who need it meanwhile wait for it, and for
/// nothing else. A failure is not kept: what stood in the way (no room for code) may pass.
#[derive(Debug, Default)]
pub(crate) struct CompileOnce {
    unit: OnceLock<PublishedUnit>,
    compiling: Mutex<()>,
}

impl CompileOnce {
    /// Where the code starts; `compile` makes and publishes it, unless that has been done.
    pub(crate) fn get(
        &self,
        compile: impl FnOnce() -> Result<PublishedUnit, CompileError>,
    ) -> Result<*const u8, CompileError> {
        if let Some(unit) = self.unit.get() {
            return Ok(unit.start());
        }
        // A panic in the compiler leaves nothing half done.
        let _compiling = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unit) = self.unit.get() {
            return Ok(unit.start());
        }
        let unit = compile()?;
        Ok(self.unit.get_or_init(|| unit).start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            unit.publish(0)
        };
        let code = once.get(compile).unwrap();
        assert_eq!(once.get(full).unwrap(), code);
    }
}
