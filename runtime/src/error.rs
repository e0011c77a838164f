//! [`Error`]: any error, in one word.
//!
//! An `Error` owns any `std::error::Error` (a [`Trap`], a [`CompileError`](crate::CompileError), a
//! [`LinkError`](crate::LinkError), an embedder's own type), descriptions of the operations that
//! failed, and the wasm frames that it passed through. Like `anyhow::Error` it does not implement
//! the trait itself, so that `?` converts every type that does.

use crate::trap::{Backtrace, FrameInfo, Trap};
use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error.
pub struct Error(Box<Inner>);

struct Inner {
    cause: Box<dyn StdError + Send + Sync>,
    /// Descriptions of the operations that failed, innermost first.
    contexts: Vec<String>,
    backtrace: Option<Backtrace>,
}

impl Error {
    /// An error that consists of a message.
    pub fn msg(message: impl fmt::Display) -> Error {
        Error::from(Message(message.to_string()))
    }

    /// Adds a description of the operation that failed.
    pub fn context(mut self, context: impl fmt::Display) -> Error {
        self.0.contexts.push(context.to_string());
        self
    }

    /// Whether the cause is an `E`.
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.0.cause.is::<E>()
    }

    /// The cause, if it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.cause.downcast_ref()
    }

    /// The cause itself, if it is an `E`.
    ///
    /// # Errors
    ///
    /// The error unchanged, if it is not.
    pub fn downcast<E: StdError + 'static>(self) -> Result<E, Error> {
        let Inner { cause, contexts, backtrace } = *self.0;
        match cause.downcast::<E>() {
            Ok(cause) => Ok(*cause),
            Err(cause) => Err(Error(Box::new(Inner { cause, contexts, backtrace }))),
        }
    }

    /// The trap, if the guest caused one.
    pub fn trap(&self) -> Option<&Trap> {
        self.downcast_ref()
    }

    /// The cause: the innermost error.
    pub fn root_cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.cause
    }

    /// The wasm frames that the error passed through, innermost first.
    pub fn backtrace(&self) -> Option<&[FrameInfo]> {
        self.0.backtrace.as_ref().map(Backtrace::frames)
    }

    /// Adds the wasm frames, unless an inner call has added its own.
    pub(crate) fn attach_backtrace(&mut self, backtrace: Backtrace) {
        self.0.backtrace.get_or_insert(backtrace);
    }

    /// Whether the frames are still to be added.
    pub(crate) fn wants_backtrace(&self) -> bool {
        self.0.backtrace.is_none()
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    #[cold]
    fn from(cause: E) -> Error {
        Error(Box::new(Inner { cause: Box::new(cause), contexts: Vec::new(), backtrace: None }))
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        match error.0.contexts.is_empty() {
            true => error.0.cause,
            false => Box::new(InContext { text: error.to_string(), cause: error.0.cause }),
        }
    }
}

/// The descriptions, outermost first, then the cause, separated by colons.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.0.contexts.iter().rev() {
            write!(f, "{context}: ")?;
        }
        write!(f, "{}", self.0.cause)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.0.cause.source();
        while let Some(error) = source {
            write!(f, "\ncaused by: {error}")?;
            source = error.source();
        }
        match &self.0.backtrace {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

/// A cause with its descriptions, as a standard error.
#[derive(Debug)]
struct InContext {
    text: String,
    cause: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for InContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for InContext {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.cause)
    }
}

/// An error that is only a message.
#[derive(Debug)]
struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Message {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn the_cause_survives_context() {
        let error = Error::from(std::fmt::Error).context("while printing").context("outside");
        assert!(error.is::<std::fmt::Error>());
        assert!(error.to_string().starts_with("outside: while printing: "));
        assert!(error.downcast::<std::fmt::Error>().is_ok());
    }
}
