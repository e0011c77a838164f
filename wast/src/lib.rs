//! Runs `.wast` scripts, the format of WebAssembly's own test suites, on seqfault.
//!
//! A script is a list of directives: modules to instantiate, calls to make, and assertions about
//! what they return, how they trap and why a module is refused. [`WastRunner`] reads a script
//! (`script`), gives it a fresh [`WastContext`] (a store, a linker with the `spectest` host module,
//! the instances that the script names) and runs its directives in order (`directive`). The outcome
//! is a [`Report`]: how many directives passed, and for each failure its place, what was expected
//! and what happened instead. A failure never ends a script: directives that depend on it fail,
//! too, each with its own line, and the others still run.
//!
//! # What is compared
//!
//! * Results: bit for bit; `nan:canonical`, `nan:arithmetic` and `either` as the specification
//! * Results: bit for bit; `nan:canonical`, `nan:arithmetic` and `either` as the specification
//!   says, lane by lane in vectors.
//! * Traps: the expected text and the text of the trap code, one of which must begin with the other
//!   (`"undefined"` is satisfied by "undefined element", and "uninitialized element 2" by
//!   "uninitialized element": engines need not say which).
//! * Link errors: the same rule. The text of the error begins with the specification's words. "data
//!   segment does not fit" and "elements segment does not fit" are link errors of WebAssembly 1.0
//!   that became traps later; a trap is expected for them.
//! * Refused modules: the *kind* of the refusal, not its text, which differs between engines.
//!   `assert_malformed` expects text that does not parse, or bytes that are not a module;
//!   `assert_invalid` expects a module that breaks a rule of validation. For an invalid module in
//!   the text format either kind of refusal is accepted, because the script does not control its
//!   encoding.
//!
//! # Threads
//!
//! `(thread $T (shared (module $M)) ...)` runs its directives on a thread of the system, in a store
//! of its own (`thread`). The thread gets the shared memories of a shared module. The module's
//! other exports belong to the store that it was made in, and stay there.
//!
//! Only seqfault's public API is used, so this crate also shows what an embedder can do with it.

#![deny(unsafe_code)]

mod context;
mod directive;
mod execute;
mod features;
mod folders;
mod mismatch;
mod pattern;
mod refusal;
mod report;
mod runner;
mod script;
mod spectest;
mod thread;
mod value;

pub use context::WastContext;
pub use features::{Features, UnknownFeatures};
pub use folders::Folder;
pub use report::{Failure, Report};
pub use runner::WastRunner;
