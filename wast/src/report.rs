//! The outcome of a script: the counts, and each failure with its place.

use seqfault::message::Escaped;
use std::fmt;

/// The outcome of one script.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many directives held.
    pub passed: usize,
    /// Those that did not, in the order of the script.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Adds the outcome of another part of the script.
    pub(crate) fn add(&mut self, other: Report) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }

    /// Whether every directive held.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }
}

/// A failed directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The script, by the name that the runner was given.
    pub file: String,
    /// Line in the script, from 1.
    pub line: usize,
    /// Column in the line, from 1.
    pub column: usize,
    /// The directive's keyword, as in `assert_return`.
    pub directive: &'static str,
    /// What was expected and what was found, with names that the script and its modules have
    /// chosen.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { file, line, column, directive, message } = self;
        let (file, message) = (Escaped::name(file), Escaped::line(message));
        write!(f, "{file}:{line}:{column}: {directive}: {message}")
    }
}
