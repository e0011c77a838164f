//! Differential fuzzing: random modules on seqfault and on its peers, which must agree.
//!
//! A seed decides everything: [`Plan::from_seed`] draws which features are on, generates the
//! modules with wasm-smith, chooses seqfault's settings, and writes a script of steps (calls, host
//! writes, growth, discards, readings). [`engines`] follow the script, each in a store of its own,
//! and note what they see in the words of [`observe`], which belong to no engine. [`compare`] looks
//! for the first step where they disagree, and [`campaign`] does so for seed after seed.
//!
//! Nothing here knows what a right answer is: two independent implementations have to agree on it.

#![deny(unsafe_code)]

pub mod campaign;
pub mod compare;
pub mod engines;
mod host;
pub mod observe;
pub mod plan;

pub use plan::Plan;
