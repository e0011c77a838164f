//! Tests of the core on a simulated system, and of its protocol under a model checker.
//!
//! They are outside of `space` because that folder is compiled twice: once as it is, once against the model checker's
//! atomics.

mod as_needed;
pub(crate) mod child;
mod container;
mod failures;
mod huge;
mod model;
mod order;
mod patience;
mod protocol;
pub(crate) mod random;
mod reasons;
mod refusals;
mod shelf;
mod simulation;
mod userfault;
mod world;
