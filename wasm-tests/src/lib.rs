//! What the conformance tests share: which scripts there are and which of them may fail, the rules
//! of the workspace, bounds on time and memory.
//!
//! The tests themselves are the targets in `tests/`: `spec` runs the WebAssembly suites, `bounds`
//! the edges of memories, tables and arithmetic, `hostile` and `mutated` feed the engine what no
//! compiler would emit, and `imports` holds the rules of who may depend on whom. All of them use
//! the public API only.

#![deny(unsafe_code)]

pub mod expected;
pub mod modes;
pub mod rules;
pub mod seed;
pub mod suite;
pub mod watch;
