//! The policy of faults, simulated: traces of programs are replayed on the real core over a simulated system, and what
//! that system does is priced.
//!
//! | file | what it has |
//! |---|---|
//! | [`trace`] | events, and how they are stored |
//! | [`patterns`] | traces of real programs (`mm/traces`), fixed patterns, and drawn ones |
//! | [`replay`] | what a trace makes the system do |
//! | [`prices`] | what that costs: measured on a machine, or assumed for a larger one |
//! | [`bars`] | the tests: no pattern may cost more, or make more resident, than the bars say |
//! | [`measured`] | the same patterns on real regions: whether the simulation is right |
//! | [`scale`] | 64 cores and thousands of instances, by assumption |
//!
//! The peer is what other runtimes do: memory is accessible from the grow on and the kernel brings every page. It is
//! simulated in the same way, by `PagerKind::Demand`.

mod bars;
mod measured;
mod patterns;
mod prices;
mod replay;
mod scale;
mod trace;
