//! [`Figures`]: what a campaign did, counted.

use crate::engines::Record;
use crate::observe::{Ending, Observation};
use crate::plan::{Barren, Plan, Step};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Seeds that were tried.
    pub seeds: u64,
    /// How many of them made no module, and why.
    pub barren: BTreeMap<Barren, u64>,
    /// How many of them made modules that no peer has the features for.
    pub unsuited: u64,
    /// How many of them were run: all others.
    pub plans: u64,
    /// Generated modules in these.
    pub modules: u64,
    /// How instantiating ended in seqfault, that of the provider left out.
    pub instantiations: Endings,
    /// How calls ended in seqfault.
    pub calls: Endings,
    /// What was compared with Wasmtime.
    pub wasmtime: Against,
    /// What was compared with wasmi.
    pub wasmi: Against,
    /// Seeds where only wasmi's answer differs.
    pub wasmi_alone: Vec<u64>,
    /// Seeds at which a peer gave up.
    pub peer_failed: Vec<u64>,
    /// Seeds whose answers differ otherwise.
    pub differences: Vec<u64>,
    /// How long it took.
    pub taken: Duration,
}

/// What was compared with a peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against {
    /// Generated modules of the plans that the peer followed to their end.
    pub modules: u64,
    /// Steps up to the first at which one cannot compare, or the engines differ.
    pub steps: u64,
    /// Plans where one could not compare to the end, because an engine came to its limits.
    pub cut_short: u64,
}

/// How calls or instantiations ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endings {
    /// With results.
    pub returned: u64,
    /// In a trap.
    pub trapped: u64,
    /// In an exception.
    pub threw: u64,
    /// In the error of a host function.
    pub failed: u64,
    /// Before they began.
    pub refused: u64,
}

impl Figures {
    /// Counts a plan that seqfault has followed.
    pub(super) fn count(&mut self, plan: &Plan, ours: &Record) {
        self.plans += 1;
        self.modules += generated(plan);
        for (step, seen) in plan.script.iter().zip(&ours.seen) {
            let Observation::Ended(ending) = seen else { continue };
            match step {
                Step::Instantiate { module: 0 } => {}
                Step::Instantiate { .. } => self.instantiations.count(ending),
                _ => self.calls.count(ending),
            }
        }
    }
}

impl Against {
    /// Counts a plan of which so many steps could be compared.
    pub(super) fn count(&mut self, plan: &Plan, steps: usize) {
        self.modules += generated(plan);
        self.steps += steps as u64;
    }
}

impl Endings {
    fn count(&mut self, ending: &Ending) {
        *match ending {
            Ending::Returned(_) => &mut self.returned,
            Ending::Trapped(..) => &mut self.trapped,
            Ending::Threw(_) => &mut self.threw,
            Ending::HostError => &mut self.failed,
            Ending::Refused(_) => &mut self.refused,
        } += 1;
    }
}

/// How many modules of a plan the generator made.
fn generated(plan: &Plan) -> u64 {
    plan.modules.len() as u64 - 1
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { seeds, plans, modules, barren, unsuited, .. } = self;
        let seconds = self.taken.as_secs_f64();
        let rate = *modules as f64 / seconds;
        writeln!(f, "{modules} modules in {plans} plans, {seconds:.0} s, {rate:.0} modules/s")?;
        let none: u64 = barren.values().sum();
        writeln!(f, "{seeds} seeds: {none} made no module {barren:?}, {unsuited} suit no peer")?;
        writeln!(f, "instantiated: {}", self.instantiations)?;
        writeln!(f, "called: {}", self.calls)?;
        writeln!(f, "compared with wasmtime: {}", self.wasmtime)?;
        writeln!(f, "compared with wasmi: {}", self.wasmi)?;
        writeln!(f, "{} answers of wasmi alone {:?}", self.wasmi_alone.len(), self.wasmi_alone)?;
        writeln!(f, "a peer failed {} times {:?}", self.peer_failed.len(), self.peer_failed)?;
        write!(f, "{} differences {:?}", self.differences.len(), self.differences)
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Against { modules, steps, cut_short } = self;
        write!(f, "{modules} modules, {steps} steps, {cut_short} plans cut short")
    }
}

impl fmt::Display for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endings { returned, trapped, threw, failed, refused } = self;
        write!(
            f,
            "{returned} returned, {trapped} trapped, {threw} threw, {failed} failed in the host, \
             {refused} refused"
        )
    }
}
