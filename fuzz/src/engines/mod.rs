//! The engines, each of which follows a plan's script in a store of its own.

mod seqfault;
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;

pub use self::seqfault::Seqfault;
pub use self::wasmi::Wasmi;
#[cfg(feature = "wasmtime")]
pub use self::wasmtime::Wasmtime;

use crate::observe::{Ending, Observation, Value};
use crate::plan::{Argument, Module, Place, Plan, Step};

/// What an engine saw, an observation a step.
#[derive(Debug)]
pub struct Record {
    /// The name of the engine.
    pub engine: &'static str,
    /// What it saw.
    pub seen: Vec<Observation>,
}

/// A store of one engine, and the instances in it.
pub trait Contestant {
    /// The name of the engine.
    fn name(&self) -> &'static str;
    /// Instantiates a module and offers its exports to later ones.
    fn instantiate(&mut self, module: &Module) -> Ending;
    /// Calls a function.
    fn call(&mut self, at: Place, arguments: &[Argument]) -> Ending;
    /// The value of a global.
    fn global(&mut self, at: Place) -> Value;
    /// Changes a global.
    fn set_global(&mut self, at: Place, value: Argument);
    /// The elements of a table.
    fn table(&mut self, at: Place) -> Vec<Value>;
    /// Grows a table by nulls; the old size, unless it fails.
    fn grow_table(&mut self, at: Place, delta: u64) -> Option<u64>;
    /// The contents of a memory.
    fn memory(&mut self, at: Place) -> Vec<u8>;
    /// Grows a memory; the old size, unless it fails.
    fn grow_memory(&mut self, at: Place, delta: u64) -> Option<u64>;
    /// Writes into a memory; whether that was inside.
    fn write(&mut self, at: Place, offset: usize, bytes: &[u8]) -> bool;
    /// Collects garbage.
    fn collect(&mut self) {}
    /// Makes 64 KiB of a memory zero; whether they are inside.
    fn zero(&mut self, at: Place, page: usize) -> bool {
        self.write(at, page << 16, &[0; 1 << 16])
    }
}

/// Follows the script of a plan. Steps about an instance that failed are skipped, and so are
/// instantiations once one has failed: later modules import from it.
pub fn follow(plan: &Plan, engine: &mut dyn Contestant) -> Record {
    let mut alive = Vec::new();
    let seen = plan.script.iter().map(|step| match step {
        Step::Instantiate { module } => {
            if alive.contains(&false) {
                alive.push(false);
                return Observation::Nothing;
            }
            let ending = engine.instantiate(&plan.modules[*module]);
            alive.push(matches!(ending, Ending::Returned(_)));
            Observation::Ended(ending)
        }
        step if step.instance().is_none_or(|instance| alive[instance]) => perform(step, engine),
        _ => Observation::Nothing,
    });
    Record { seen: seen.collect(), engine: engine.name() }
}

fn perform(step: &Step, engine: &mut dyn Contestant) -> Observation {
    match *step {
        Step::Instantiate { .. } => Observation::Nothing,
        Step::Collect => {
            engine.collect();
            Observation::Nothing
        }
        Step::Call { at, ref arguments } => Observation::Ended(engine.call(at, arguments)),
        Step::Global { at } => Observation::Value(engine.global(at)),
        Step::SetGlobal { at, value } => {
            engine.set_global(at, value);
            Observation::Nothing
        }
        Step::Table { at } => Observation::Elements(engine.table(at)),
        Step::GrowTable { at, delta } => Observation::Grown(engine.grow_table(at, delta)),
        Step::Memory { at } => Observation::Bytes(engine.memory(at)),
        Step::GrowMemory { at, delta } => Observation::Grown(engine.grow_memory(at, delta)),
        Step::Write { at, offset, ref bytes } => {
            Observation::Written(engine.write(at, offset, bytes))
        }
        Step::Zero { at, page } => Observation::Written(engine.zero(at, page)),
    }
}
