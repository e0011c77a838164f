//! [`Constants`]: values that are the same in all instances of a module.

use crate::instance::compute;
use seqfault_jit::module::{ConstExpr, ConstOp, ModuleInfo};

/// The defined globals whose first value depends on no import, function or object.
pub(super) struct Constants {
    num_imported: usize,
    globals: Vec<Option<u128>>,
}

impl Constants {
    pub(super) fn new(info: &ModuleInfo) -> Constants {
        let num_imported = info.num_imported_globals;
        let mut constants = Constants { num_imported, globals: Vec::new() };
        for init in &info.global_inits {
            // Globals refer to earlier ones only, so each is evaluated once.
            let value = constants.value(init);
            constants.globals.push(value);
        }
        constants
    }

    /// The value of `expr` in every instance, in the low bytes, the others zero; `None` if it may
    /// differ.
    pub(super) fn value(&self, expr: &ConstExpr) -> Option<u128> {
        let mut stack = Vec::new();
        for op in &expr.ops {
            let value = match *op {
                ConstOp::GlobalGet(global) => self.global(global)?,
                ref op => compute(op, || stack.pop().expect("validated"))?,
            };
            stack.push(value);
        }
        stack.pop()
    }

    /// The values of the defined globals, in order.
    pub(super) fn globals(&self) -> &[Option<u128>] {
        &self.globals
    }

    fn global(&self, global: u32) -> Option<u128> {
        let defined = (global as usize).checked_sub(self.num_imported)?;
        self.globals.get(defined).copied().flatten()
    }
}
