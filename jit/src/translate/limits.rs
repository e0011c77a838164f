//! What keeps references of the heap in proportion to the body.
//!
//! For each call there is a list of the references that are alive then, and the frontend keeps sets of those
//! that are alive around each block. [`plan`](super::plan) sees to everything else that grows with a
//! product; these depend on what is on the value stack, which only the translation knows.

use super::Result;
use crate::error::CompileError;

/// References that may be alive at all calls and around all blocks of a function together, and 256-byte
/// pieces of its frame at all calls, since what the code generator keeps for a call goes up to the last
/// reference in the frame.
const MAX_LIVE_REFERENCES: u64 = 1 << 22;

/// What one function has used up so far.
pub(super) struct Limits {
    func: u32,
    /// Locals that are references, and are used.
    references: u64,
    /// Bytes of the frame below the references.
    frame: u64,
    live_references: u64,
}

impl Limits {
    pub(super) fn new(func: u32, references: u64) -> Limits {
        Limits { func, references, frame: 0, live_references: 0 }
    }

    /// So many bytes of the frame are taken.
    pub(super) fn take_frame(&mut self, bytes: u32) {
        self.frame += u64::from(bytes);
    }

    /// Counts the references that may be alive at one more call, `operands` of them on the value
    /// stack; [`Limits::check_references`] tells when there are too many.
    pub(super) fn call(&mut self, operands: usize) {
        self.live_references += self.references + operands as u64 + self.frame / 256;
    }

    /// The same for a block.
    pub(super) fn block(&mut self, operands: usize) {
        self.live_references += operands as u64;
    }

    pub(super) fn check_references(&self) -> Result {
        match self.live_references > MAX_LIVE_REFERENCES {
            true => self.too_complex("too many references are alive at too many calls and blocks"),
            false => Ok(()),
        }
    }

    fn too_complex(&self, message: &str) -> Result {
        Err(CompileError::Codegen { func: self.func, message: message.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_limited_at_all_calls_together() {
        let mut limits = Limits::new(0, 1);
        limits.call(MAX_LIVE_REFERENCES as usize - 1);
        limits.check_references().unwrap();
        limits.call(0);
        assert!(limits.check_references().is_err());
    }
}
