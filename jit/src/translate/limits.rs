//! What keeps the time and memory of a translation in proportion to the body.
//!
//! Two things in CLIF can grow with the product of two numbers that a body chooses freely:
//!
//! * every branch, merge and call lists its values, and types may have a thousand of them, so that
//!   two bytes of wasm can ask for a thousand CLIF values;
//! * building SSA form keeps a row of blocks for each variable, so that many locals in many blocks
//!   take memory as their product.
//!
//! Both have a cap; a function beyond one is an error of that function. Only a body written to reach a
//! cap will: the largest function of Yosys, a module of 31 MB, lists 13,288 values, and its locals
//! times its blocks are 574,490.

use super::Result;
use crate::error::CompileError;

/// Values that all branches, merges, calls and jump tables of a function may list together.
const MAX_LISTED_VALUES: usize = 1 << 22;

/// Locals in use times blocks of a function.
const MAX_LOCALS_TIMES_BLOCKS: u64 = 1 << 27;

/// What one function has used up so far.
pub(super) struct Limits {
    func: u32,
    listed_values: usize,
    touched: Vec<bool>,
    locals_in_use: u64,
}

impl Limits {
    pub(super) fn new(func: u32) -> Limits {
        Limits { func, listed_values: 0, touched: Vec::new(), locals_in_use: 0 }
    }

    /// Counts values that are listed once more.
    pub(super) fn list_values(&mut self, count: usize) -> Result {
        self.listed_values += count;
        if self.listed_values > MAX_LISTED_VALUES {
            return self.too_complex("its branches and calls pass too many values");
        }
        Ok(())
    }

    pub(super) fn declare_local(&mut self) {
        self.touched.push(false);
    }

    /// Counts a local that is read or written while the function has this many blocks.
    pub(super) fn touch_local(&mut self, local: u32, blocks: usize) -> Result {
        let touched = &mut self.touched[local as usize];
        self.locals_in_use += u64::from(!*touched);
        *touched = true;
        if self.locals_in_use * blocks as u64 > MAX_LOCALS_TIMES_BLOCKS {
            return self.too_complex("too many locals in too many blocks");
        }
        Ok(())
    }

    fn too_complex(&self, message: &str) -> Result {
        Err(CompileError::Codegen { func: self.func, message: message.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_limited_in_sum() {
        let mut limits = Limits::new(7);
        limits.list_values(MAX_LISTED_VALUES - 1).unwrap();
        limits.list_values(1).unwrap();
        let error = limits.list_values(1).unwrap_err();
        assert!(matches!(error, CompileError::Codegen { func: 7, .. }), "{error}");
    }

    #[test]
    fn a_local_counts_once() {
        let mut limits = Limits::new(0);
        limits.declare_local();
        limits.declare_local();
        let last = (MAX_LOCALS_TIMES_BLOCKS / 2) as usize;
        limits.touch_local(0, last).unwrap();
        limits.touch_local(0, last).unwrap();
        limits.touch_local(1, last).unwrap();
        assert!(limits.touch_local(0, last + 1).is_err());
    }
}
