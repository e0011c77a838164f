//! The fault protocol under the model checker `loom`: the files of `space`, compiled against loom's atomics, run in
//! every interleaving and with every value that the memory model lets a load see.
//!
//! Each scenario is a writer and faulting threads on one page or two, and says at the end what must be true. Each also
//! runs with *mutants*: with one fence removed, or one step left out. For every mutant some scenario must fail. A
//! mutant that survives would mean that the fence is not needed, or that no scenario tests it.

#![cfg(feature = "speculation")]

mod checks;
mod kernel;
mod mutants;
mod primitive;
mod scenarios;
mod shared;
#[path = "../../space/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the scenarios use a part of it")]
mod space;
#[path = "../../checks.rs"]
mod whole_checks;
