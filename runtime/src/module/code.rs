//! The code of one module: a slot for each function, filled when functions are first called.
//!
//! Every call of a function, from wasm or from the host, reads its slot. At first all slots point
//! to the module's lazy entries; [`ModuleCode::compile`] replaces them by the address of the code.
//! A thread that calls a function which another thread is compiling waits for that function only.

use super::ModuleInner;
use crate::engine::{CompileOnce, Engine, try_map};
use crate::error::Result;
use crate::vm;
use seqfault_jit::code::{CodeArena, CodeQuota, LazyEntries, PublishedUnit, UnitBuilder};
use seqfault_jit::vm::VMSlot;
use seqfault_jit::{CompileError, CompileScratch};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

pub(super) struct ModuleCode {
    /// The text: code of functions, which contains no absolute address and never changes.
    arena: CodeArena,
    slots: Box<[VMSlot]>,
    functions: Box<[CompileOnce]>,
    /// Code that was compiled together.
    batches: OnceLock<Vec<PublishedUnit>>,
    /// The initial targets of slots.
    lazy: OnceLock<LazyEntries>,
}

/// How many functions are compiled and published together in eager mode: enough to fill pages, few
/// enough to keep all cores busy until the end.
const BATCH: usize = 128;

impl ModuleCode {
    /// Slots for `count` functions, not set yet: when the module is at its final address,
    /// [`ModuleCode::compile_when_called`] or [`ModuleCode::compile_all`] must be called.
    pub(super) fn new(engine: &Engine, count: usize) -> ModuleCode {
        let limit = engine.config().module_code_limit;
        let within = engine.code_quota().clone();
        let quota = CodeQuota::new("Config::module_code_limit", limit, Some(within));
        ModuleCode {
            arena: CodeArena::new(quota),
            slots: (0..count).map(|_| VMSlot(AtomicPtr::default())).collect(),
            functions: std::iter::repeat_with(CompileOnce::default).take(count).collect(),
            batches: OnceLock::new(),
            lazy: OnceLock::new(),
        }
    }

    /// Makes each function's first call compile it.
    pub(super) fn compile_when_called(&self, module: &ModuleInner) -> Result<(), CompileError> {
        let stub = vm::lazy_function_stub();
        let lazy =
            LazyEntries::publish(module.engine.stubs(), self.slots.len(), stub, owner(module))?;
        for (index, slot) in self.slots.iter().enumerate() {
            slot.0.store(lazy.entry(index).cast_mut(), Ordering::Relaxed);
        }
        self.lazy.set(lazy).expect("once, when the module is made");
        Ok(())
    }

    pub(super) fn slots(&self) -> &[VMSlot] {
        &self.slots
    }

    /// Compiles one function unless that has been done. Returns the address of its code.
    pub(super) fn compile(&self, module: &ModuleInner, defined: usize) -> Result<*const u8> {
        let code = self.functions[defined].get(|| {
            module.engine.check_compilation()?;
            let func = (module.info.num_imported_functions + defined) as u32;
            let compiler = module.engine.compiler();
            let compiled = module.engine.with_scratch(|scratch| {
                compiler.compile_function(scratch, module.source(), func)
            })?;
            let mut unit = UnitBuilder::new();
            unit.push(compiled);
            let unit = unit.publish(&self.arena, owner(module))?;
            self.patch(defined, unit.start());
            Ok(unit)
        })?;
        Ok(code)
    }

    /// Compiles all functions, on all cores.
    pub(super) fn compile_all(&self, module: &ModuleInner) -> Result<()> {
        let count = self.slots.len();
        let starts = (0..count).step_by(BATCH).collect();
        let batches = try_map(starts, 1, |scratch, start| {
            self.compile_batch(module, scratch, start..count.min(start + BATCH))
        })?;
        self.batches.set(batches).expect("compiled once, when the module is made");
        Ok(())
    }

    fn compile_batch(
        &self,
        module: &ModuleInner,
        scratch: &mut CompileScratch,
        batch: Range<usize>,
    ) -> Result<PublishedUnit, CompileError> {
        let compiler = module.engine.compiler();
        let mut unit = UnitBuilder::new();
        for defined in batch.clone() {
            module.engine.check_compilation()?;
            let func = (module.info.num_imported_functions + defined) as u32;
            unit.push(compiler.compile_function(scratch, module.source(), func)?);
        }
        let unit = unit.publish(&self.arena, owner(module))?;
        for (defined, start) in batch.zip(unit.function_starts()) {
            self.patch(defined, start);
        }
        Ok(unit)
    }

    fn patch(&self, defined: usize, code: *const u8) {
        // Release: a thread that reads the slot finds the code and its unit complete. The partner
        // is the dependency of a compiled call's jump on its load.
        self.slots[defined].0.store(code.cast_mut(), Ordering::Release);
    }
}

/// The `CodeUnit::owner` of this module's code: the address inside its `Arc`.
fn owner(module: &ModuleInner) -> usize {
    std::ptr::from_ref(module) as usize
}
