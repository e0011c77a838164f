//! The exceptions of a store: those that guests hold references to, and the one on its way.
//!
//! An exception gets a number only when somebody asks for a reference to it. Until then, and while
//! a handler is being looked for, what it carries lies in a buffer of the store, which stays where it
//! is until the next throw: handlers read it first of all.

use crate::error::{Error, Result};
use seqfault_jit::vm::{VMTag, ValRaw};
use std::ptr::NonNull;

/// An exception that somebody holds a reference to.
#[derive(Debug)]
pub(crate) struct Exception {
    pub(crate) tag: NonNull<VMTag>,
    pub(crate) fields: Box<[ValRaw]>,
}

/// The exceptions of a store.
#[derive(Debug, Default)]
pub(super) struct Exceptions {
    /// By number, less one.
    held: Vec<Exception>,
    /// What the exception that was thrown last carries.
    thrown: Vec<ValRaw>,
}

impl Exceptions {
    /// Keeps an exception; its number is never 0.
    pub(super) fn add(&mut self, tag: NonNull<VMTag>, fields: Box<[ValRaw]>) -> Result<u32> {
        let number = u32::try_from(self.held.len() + 1)
            .map_err(|_| Error::msg("a store can hold 2^32 - 1 exceptions"))?;
        self.held.push(Exception { tag, fields });
        Ok(number)
    }

    pub(super) fn get(&self, number: u32) -> &Exception {
        &self.held[number as usize - 1]
    }

    /// Takes over what an exception carries that is being thrown.
    pub(super) fn set_thrown(&mut self, fields: &[ValRaw]) {
        self.thrown.clear();
        self.thrown.extend_from_slice(fields);
    }

    /// The same from an exception that is held; its tag.
    pub(super) fn set_thrown_again(&mut self, number: u32) -> NonNull<VMTag> {
        let exception = &self.held[number as usize - 1];
        self.thrown.clear();
        self.thrown.extend_from_slice(&exception.fields);
        exception.tag
    }

    /// What the exception that was thrown last carries.
    pub(super) fn thrown(&self) -> &[ValRaw] {
        &self.thrown
    }
}
