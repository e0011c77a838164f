//! How a directive failed: what it expected and what happened instead.

use std::fmt;

/// A failed directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch(String);

impl Mismatch {
    /// The script asked for something that cannot be done at all.
    pub(crate) fn new(message: impl Into<String>) -> Mismatch {
        Mismatch(message.into())
    }

    /// It could be done, but with another outcome than the script expects.
    pub(crate) fn expected(expected: impl fmt::Display, found: impl fmt::Display) -> Mismatch {
        Mismatch(format!("expected {expected}, found {found}"))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The outcome of one directive.
pub(crate) type Verdict<T = ()> = Result<T, Mismatch>;
