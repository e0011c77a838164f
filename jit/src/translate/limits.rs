//! What keeps the time and memory of a translation in proportion to the body.
//!
//! Three things in CLIF can grow with the product of two numbers that a body chooses freely:
//!
//! * every branch, merge and call lists its values, and types may have a thousand of them, so that
//!   two bytes of wasm can ask for a thousand CLIF values;
//! * building SSA form keeps a row of blocks for each variable, so that many locals in many blocks
//!   take memory as their product;
//! * for each call there is a list of the references of the heap that are alive then.
//!
//! Each has a cap; a function beyond one is an error of that function. Only a body written to reach a
//! cap will: the largest function of Yosys, a module of 31 MB, lists 13,288 values, and its locals
//! times its blocks are 574,490.

use super::Result;
use crate::error::CompileError;

/// Values that all branches, merges, calls and jump tables of a function may list together.
const MAX_LISTED_VALUES: usize = 1 << 22;

/// Locals in use times blocks of a function.
const MAX_LOCALS_TIMES_BLOCKS: u64 = 1 << 27;

/// References of the heap that may be alive at all calls of a function together, and in all of its
/// blocks.
const MAX_LIVE_REFERENCES: u64 = 1 << 23;

/// What one function has used up so far.
pub(super) struct Limits {
    func: u32,
    listed_values: usize,
    locals: Vec<Local>,
    locals_in_use: u64,
    references_in_use: u64,
    live_references: u64,
}

/// A local, and whether it has been read or written.
struct Local {
    is_reference: bool,
    touched: bool,
}

impl Limits {
    pub(super) fn new(func: u32) -> Limits {
        Limits {
            func,
            listed_values: 0,
            locals: Vec::new(),
            locals_in_use: 0,
            references_in_use: 0,
            live_references: 0,
        }
    }

    /// Counts values that are listed once more.
    pub(super) fn list_values(&mut self, count: usize) -> Result {
        self.listed_values += count;
        if self.listed_values > MAX_LISTED_VALUES {
            return self.too_complex("its branches and calls pass too many values");
        }
        Ok(())
    }

    pub(super) fn declare_local(&mut self, is_reference: bool) {
        self.locals.push(Local { is_reference, touched: false });
    }

    /// Counts the references that may be alive at one more call, `operands` of them on the value
    /// stack; [`Limits::check_references`] tells when there are too many.
    pub(super) fn call(&mut self, operands: usize) {
        self.live_references += self.references_in_use + operands as u64;
    }

    pub(super) fn check_references(&self) -> Result {
        match self.live_references > MAX_LIVE_REFERENCES {
            true => self.too_complex("too many references are alive at too many calls"),
            false => Ok(()),
        }
    }

    /// Counts a local that is read or written while the function has this many blocks.
    pub(super) fn touch_local(&mut self, local: u32, blocks: usize) -> Result {
        let local = &mut self.locals[local as usize];
        if !std::mem::replace(&mut local.touched, true) {
            self.locals_in_use += 1;
            self.references_in_use += u64::from(local.is_reference);
        }
        if self.locals_in_use * blocks as u64 > MAX_LOCALS_TIMES_BLOCKS
            || self.references_in_use * blocks as u64 > MAX_LIVE_REFERENCES
        {
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
        limits.declare_local(false);
        limits.declare_local(false);
        let last = (MAX_LOCALS_TIMES_BLOCKS / 2) as usize;
        limits.touch_local(0, last).unwrap();
        limits.touch_local(0, last).unwrap();
        limits.touch_local(1, last).unwrap();
        assert!(limits.touch_local(0, last + 1).is_err());
    }

    #[test]
    fn references_are_limited_at_all_calls_together() {
        let mut limits = Limits::new(0);
        limits.declare_local(true);
        limits.touch_local(0, 1).unwrap();
        limits.call(MAX_LIVE_REFERENCES as usize - 1);
        limits.check_references().unwrap();
        limits.call(0);
        assert!(limits.check_references().is_err());
    }
}
